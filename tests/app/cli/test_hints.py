"""HTTP calls in the texts of the gateway become commands."""

import pytest

from app.cli.rendering.hints import fault_line, with_commands
from app.client.models import Fault
from workflows.operations.kinds import KINDS
from workflows.tenants.steps import TENANT_CREATION

TENANT = "8d3f0a52-5c1e-4c52-9b0e-3f6f3e6d2a11"


@pytest.mark.parametrize(
    ("call", "command"),
    [
        ("GET /operations/tenant-export-1", "status tenant-export-1"),
        (f"POST /tenants/{TENANT}/deletion", f"tenants delete {TENANT}"),
        (f"POST /tenants/{TENANT}/deletion/undo", f"tenants undo-deletion {TENANT}"),
        (f"PUT or DELETE /tenants/{TENANT}/addons/…", f"tenants grant-addon {TENANT} or revoke-addon {TENANT}"),
        (f"PUT /tenants/{TENANT}/addons/teams", f"tenants grant-addon {TENANT} teams"),
        ("GET /tenants", "tenants list"),
    ],
)
def test_a_call_becomes_the_command_that_makes_it(call: str, command: str) -> None:
    assert with_commands(f"to do it: {call}; then wait") == f"to do it: `alga-tenants {command}`; then wait"


def test_a_call_without_a_command_stays() -> None:
    assert with_commands("see GET /livez.") == "see GET /livez."


def test_every_hint_of_an_operation_has_a_command() -> None:
    assert TENANT_CREATION.name in KINDS
    for kind in KINDS.values():
        texts = (kind.undo, kind.cancel_call or "", *(kind.remedy_of(step.name, TENANT) for step in kind.steps))
        for text in texts:
            shown = with_commands(text.format(tenant_id=TENANT))
            assert "/tenants/" not in shown, shown


@pytest.mark.parametrize(
    ("detail", "line"),
    [
        ("must have at least 8 characters", "--reason must have at least 8 characters"),
        ("the e-mail is used elsewhere", "--reason: the e-mail is used elsewhere"),
    ],
)
def test_a_fault_continues_the_name_of_its_option(detail: str, line: str) -> None:
    assert fault_line(Fault(field="reason", detail=detail), "--{}".format) == line
