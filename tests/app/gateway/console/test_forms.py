from uuid import UUID, uuid4

import pytest

from app.gateway.console.forms import Form, check_typed, name_to_type, number_of
from app.gateway.http.problems.problem import Fault
from app.gateway.http.problems.request_problems import InvalidRequestError


def test_a_rejected_form_keeps_its_values_and_shows_each_error_at_its_field() -> None:
    problem = InvalidRequestError(
        "two are wrong",
        errors=[
            Fault(field="billingPlan", detail="billingPlan is not one of: Standard"),
            Fault(field="appleIap", detail="appleIap: needs billingSource apple_iap"),
        ],
    )

    form = Form({"billingPlan": "Gold"}).rejected(problem, fields=("billingPlan",))

    assert form["billingPlan"] == "Gold"
    assert form.faults == {"billingPlan": "is not one of: Standard"}
    assert form.message == "appleIap needs billingSource apple_iap"


def test_boxes_of_a_group_are_read_without_its_prefix() -> None:
    form = Form({"scopes.tenants:read": "yes", "scopes.audit:read": "yes", "scopesOther": "yes", "name": ""})
    assert form.chosen("scopes") == ["tenants:read", "audit:read"]


def test_a_fault_of_an_entry_stands_at_the_list() -> None:
    problem = InvalidRequestError("wrong", errors=[Fault(field="scopes.0", detail="is unknown")])
    assert Form().rejected(problem, fields=["scopes"]).faults == {"scopes": "is unknown"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("30", 30), ("030", 30), ("", ""), ("-1", "-1"), ("1.5", "1.5"), ("²", "²"), ("9" * 19, "9" * 19)],
)
def test_only_a_plain_number_is_one(text: str, expected: int | str) -> None:
    assert number_of(text) == expected


def test_a_tenant_without_a_name_is_confirmed_by_its_id() -> None:
    tenant_id = UUID(int=7)
    assert name_to_type(" Acme ", tenant_id) == "Acme"
    assert name_to_type("  ", tenant_id) == name_to_type(None, tenant_id) == str(tenant_id)


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("Acme", " Acme "),
        ("Acme  and\tSons", "Acme and Sons"),
        ("Cafe\N{COMBINING ACUTE ACCENT}", "Caf\N{LATIN SMALL LETTER E WITH ACUTE}"),
        ("\N{RIGHT-TO-LEFT OVERRIDE}Acme\N{ZERO WIDTH SPACE}", "Acme"),
        ("Acme\x01\x7f", "Acme"),
    ],
)
def test_a_name_is_typed_without_what_can_not_be_seen(name: str, typed: str) -> None:
    check_typed(Form({"typedName": typed}), "typedName", name)

    with pytest.raises(InvalidRequestError, match="differ"):
        check_typed(Form({"typedName": typed.lower()}), "typedName", name)


def test_the_id_is_typed_for_a_tenant_whose_name_can_not_be_seen() -> None:
    tenant_id = uuid4()
    assert name_to_type("\N{ZERO WIDTH SPACE} \x01", tenant_id) == str(tenant_id)
