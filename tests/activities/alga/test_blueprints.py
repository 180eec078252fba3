import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from activities.alga.blueprints.blueprint import BUILT_IN, Blueprint, load_blueprint, load_blueprints
from activities.alga.blueprints.yaml_files import BlueprintError
from activities.errors import FinalError

TENANT = UUID("9b2f3a52-6c1c-4a4f-9c3a-0d3c3c1f7a10")
SMALL = """\
product: psa
permissions:
  msp:
    ticket:
      about: tickets
      actions: [create, read]
  client:
    ticket:
      about: own tickets
      actions: [read]
roles:
  msp:
    Admin:
      description: Everything
      grants: all
    Agent:
      description: Reads
      grants:
        ticket: [read]
  client:
    User:
      description: Reads too
      grants:
        ticket: [read]
statuses:
  project_task:
    - {name: To Do, color: "#000000", default: true}
    - {name: Done, color: "#FFFFFF", closed: true}
tax_regions:
  DEFAULT: {region_name: Everywhere}
tax_rates:
  None: {region_code: DEFAULT, tax_percentage: 0}
folders:
  client:
    - /Clients
    - {path: /Clients/Contracts, client_visible: true}
contract_lines:
  Flat: {type: Fixed}
"""


def rows(blueprint: Blueprint, tenant_id: UUID = TENANT) -> dict[str, list[dict[str, Any]]]:
    return {rows.table.name: json.loads(rows.document) for rows in blueprint.rows(tenant_id, date(2026, 1, 2))}


def grants(records: Mapping[str, list[dict[str, Any]]]) -> dict[str, list[list[Any]]]:
    permissions = {
        row["permission_id"]: [row["resource"], row["action"], row["msp"], row["client"]]
        for row in records["permissions"]
    }
    roles = {row["role_id"]: f"{row['role_name']}/{'msp' if row['msp'] else 'client'}" for row in records["roles"]}
    found: dict[str, list[list[Any]]] = {role: [] for role in roles.values()}
    for row in records["role_permissions"]:
        found[roles[row["role_id"]]].append(permissions[row["permission_id"]])
    return {role: sorted(granted) for role, granted in found.items()}


@pytest.mark.parametrize("product", ["psa", "algadesk"])
def test_the_built_in_blueprint_is_golden(golden: Mapping[str, Any], product: str) -> None:
    records = rows(load_blueprints()[product])
    expected = golden[product]
    assert sorted([row["role_name"], row["msp"], row["client"]] for row in records["roles"]) == sorted(
        expected["roles"]
    )
    assert sorted(
        [row["resource"], row["action"], row["msp"], row["client"]] for row in records["permissions"]
    ) == sorted(expected["permissions"])
    assert grants(records) == {role: sorted(granted) for role, granted in expected["role_permissions"].items()}
    assert {table: len(found) for table, found in records.items()} == {
        table: expected["row_counts"][table] for table in records
    }


@pytest.mark.parametrize("product", ["psa", "algadesk"])
def test_every_role_and_permission_is_described(product: str) -> None:
    records = rows(load_blueprints()[product])
    assert all(row["description"] for row in (*records["roles"], *records["permissions"]))


def test_the_same_tenant_gets_the_same_rows_and_another_gets_other_ids() -> None:
    blueprint = load_blueprints()["psa"]
    assert rows(blueprint) == rows(blueprint)
    ours = {row["permission_id"] for row in rows(blueprint)["permissions"]}
    theirs = {row["permission_id"] for row in rows(blueprint, uuid4())["permissions"]}
    assert len(ours) == 198
    assert not ours & theirs


def test_the_administrators_role_is_the_msps() -> None:
    blueprint = load_blueprint(BUILT_IN / "psa.yaml")
    (role,) = [row for row in rows(blueprint)["roles"] if row["role_id"] == blueprint.admin_role_id(TENANT).hex]
    assert (role["role_name"], role["msp"], role["client"]) == ("Admin", True, False)


def test_a_contract_line_is_found_in_any_case() -> None:
    blueprint = load_blueprints()["psa"]
    name, _ = blueprint.contract_line("managed services")
    assert name == "Managed Services"
    with pytest.raises(FinalError, match="Managed Services"):
        blueprint.contract_line("Nothing of the kind")


def test_a_custom_file_replaces_the_built_in_one(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(SMALL)
    blueprints = load_blueprints(tmp_path)
    assert blueprints["psa"].contract_line_names == ("Flat",)
    assert set(blueprints) == {"psa", "algadesk"}
    assert {table: len(found) for table, found in rows(blueprints["psa"]).items()} == {
        "roles": 3,
        "permissions": 3,
        "role_permissions": 4,
        "statuses": 2,
        "tax_regions": 1,
        "tax_rates": 1,
        "document_default_folders": 2,
    }


@pytest.mark.parametrize(
    ("before", "after", "line", "said"),
    [
        ("product: psa", "product: [psa", 2, "not valid YAML"),
        ("product: psa", "product: crm", 1, "product: Input should be 'psa' or 'algadesk'"),
        ("product: psa", "products: psa", 1, "product"),
        (
            "      about: tickets\n",
            "      about: tickets\n      colour: red\n",
            6,
            "permissions.msp.ticket.colour: is not a known key",
        ),
        ("      about: tickets\n", "      about: tickets\n      about: more\n", 6, "is given twice"),
        ("[create, read]", "[create, create]", 6, "permissions.msp.ticket.actions.1: create is given twice"),
        ("[create, read]", "create", 6, "permissions.msp.ticket.actions"),
        ("    Admin:\n      description: Everything\n      grants: all\n", "", 12, "there must be a role Admin"),
        (
            "        ticket: [read]\n  client:",
            "        ticket: [read, delete]\n  client:",
            19,
            "roles.msp.Agent.grants.ticket.1: there is no permission to delete ticket for msp",
        ),
        (
            "      description: Reads too\n      grants:\n        ticket: [read]",
            "      description: Reads too\n      grants:\n        ticket: [create]",
            24,
            "there is no permission to create ticket for client",
        ),
        ("grants: all", "grants: most", 15, "roles.msp.Admin.grants: Input should be 'all', or: must be a mapping"),
        ("[read]\n  client:", "read\n  client:", 19, "roles.msp.Agent.grants.ticket: must be a list"),
        (
            "roles:\n  msp:",
            "  both:\n    ticket: {about: all tickets, actions: [read]}\nroles:\n  msp:",
            6,
            "permissions.msp.ticket.actions.1: read is given for both audiences already",
        ),
        ("      about: tickets\n", "", 4, "permissions.msp.ticket.about: is missing"),
        ("description: Everything", "description: 2026-01-02", 14, "is a timestamp; put text in quotes"),
        ("closed: true", "default: true", 26, "exactly one status must be the default"),
        ("name: Done", "name: To Do", 28, "To Do is given twice"),
        ("region_code: DEFAULT", "region_code: MARS", 32, "there is no tax region MARS"),
        ("tax_percentage: 0", "tax_percentage: many", 32, "tax_percentage"),
        ("    - /Clients\n", "", 35, "the folder /Clients must be given before it"),
        ("/Clients/Contracts, client", "/Clients, client", 36, "/Clients is given twice"),
        ("type: Fixed", "type: Free", 38, "contract_lines.Flat.type"),
    ],
)
def test_a_broken_file_is_refused_with_file_line_and_reason(
    tmp_path: Path, before: str, after: str, line: int, said: str
) -> None:
    assert SMALL.count(before) == 1
    file = tmp_path / "broken.yaml"
    file.write_text(SMALL.replace(before, after))
    with pytest.raises(BlueprintError) as caught:
        load_blueprint(file)
    assert str(caught.value).startswith(f"{file}:{line}: ")
    assert said in str(caught.value)


def test_all_means_every_permission_of_the_audience_and_of_both(tmp_path: Path) -> None:
    file = tmp_path / "psa.yaml"
    file.write_text(
        SMALL.replace("roles:\n  msp:", "  both:\n    tag: {about: tags, actions: [read]}\nroles:\n  msp:")
    )
    assert grants(rows(load_blueprint(file)))["Admin/msp"] == [
        ["tag", "read", True, True],
        ["ticket", "create", True, False],
        ["ticket", "read", True, False],
    ]


def test_two_files_for_one_product_are_refused(tmp_path: Path) -> None:
    for name in ("one.yml", "two.yaml"):
        (tmp_path / name).write_text(SMALL)
    with pytest.raises(BlueprintError, match=r"two\.yaml: product: there is another blueprint for psa"):
        load_blueprints(tmp_path)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BlueprintError, match="is not a folder"):
        load_blueprints(tmp_path / "nowhere")


@pytest.mark.parametrize("content", ["", "- a list\n", "text\n"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(content)
    with pytest.raises(BlueprintError, match=r"broken\.yaml"):
        load_blueprint(file)
