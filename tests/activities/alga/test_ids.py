from uuid import UUID

from activities.alga.ids import derived_hex_ids, derived_id, encoded_name

TENANT = UUID("9b2f3a52-6c1c-4a4f-9c3a-0d3c3c1f7a10")
OTHER = UUID("0b7a55c1-2f4e-4d53-8f0a-6a1d5c1b9e77")


def test_an_id_depends_on_the_tenant_and_the_name_alone() -> None:
    assert derived_id(TENANT, "role", "Admin") == derived_id(TENANT, "role", "Admin")
    assert derived_id(TENANT, "role", "Admin") != derived_id(OTHER, "role", "Admin")
    assert derived_id(TENANT, "role", "Admin") != derived_id(TENANT, "role", "User")


def test_ids_never_change_between_releases() -> None:
    assert derived_id(TENANT, "client") == UUID("9acd0f56-8d5c-569d-bb38-82b44ff8f568")
    assert derived_id(TENANT, "role", "msp", "Admin") == UUID("285f3d08-b321-593a-b0e5-484767606209")


def test_parts_of_a_name_are_not_mixed_up() -> None:
    names = [("a", "b/c"), ("a/b", "c"), ("a", "b", "c"), ("ab", "c"), ("a", "bc"), ("abc",), ("abc", "")]
    assert len({derived_id(TENANT, *name) for name in names}) == len(names)


def test_many_ids_at_once_are_the_same_ids() -> None:
    names = [("role", "msp", "Admin"), ("permission", "both", "ticket", "read"), ("é",), ("",)]
    for tenant_id in (TENANT, OTHER, UUID(int=0)):
        ids = derived_hex_ids(tenant_id, map(encoded_name, names))
        assert [UUID(one) for one in ids] == [derived_id(tenant_id, *name) for name in names]
        assert {len(one) for one in ids} == {32}
