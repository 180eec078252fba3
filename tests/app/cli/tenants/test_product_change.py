"""The command that changes the product of a tenant."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.app.cli.conftest import Ran, Run
from tests.app.client.scripted_server import (
    OPERATION_PATH,
    TENANT_ID,
    TENANT_PATH,
    Reply,
    ScriptedServer,
    document,
    problem,
    tenant,
)

PATH = f"{TENANT_PATH}/product-change"
CHANGE = ("tenants", "change-product", TENANT_ID, "--product=psa")
SOON = {"Retry-After": "0"}


def preview(**changes: Any) -> dict[str, Any]:
    return {
        "tenantId": TENANT_ID,
        "name": "Acme",
        "productCode": "algadesk",
        "newProductCode": "psa",
        "isAllowed": True,
        "refusals": [],
        "rows": 1_139,
        "tables": [
            {"table": "roles", "rows": 5, "examples": ["Dispatcher (MSP)", "Finance (MSP)"]},
            {"table": "permissions", "rows": 1_134, "examples": ["asset:read (MSP)"]},
        ],
        "changes": [{"table": "tenants", "rows": 1, "examples": ["productCode: algadesk becomes psa"]}],
        "stays": [{"table": "roles", "rows": 1, "examples": ["Agent (MSP)"]}],
        "warnings": [],
        **changes,
    }


REFUSED = {
    "isAllowed": False,
    "refusals": [{"code": "stripe-subscription", "detail": "the tenant has a live subscription at Stripe (sub_1)"}],
}


def of_kind(status: str) -> dict[str, Any]:
    result = (
        {"tenantId": TENANT_ID, "productCode": "psa", "addedRows": {"roles": 5}} if status == "completed" else None
    )
    return document(status, kind="tenant_product_change", parameters={"productCode": "psa"}, result=result)


def test_a_change_is_followed_to_its_end(server: ScriptedServer, run: Run) -> None:
    server.script("POST", PATH, Reply(202, of_kind("queued")))
    server.script("GET", OPERATION_PATH, Reply(200, of_kind("running"), SOON), Reply(200, of_kind("completed")))
    ran = run(*CHANGE, "--yes")
    assert ran.code == 0, ran.stderr
    lines = {" ".join(line.split()) for line in ran.stdout.splitlines()}
    assert {"kind tenant product change", "product code psa"} <= lines
    post = server.received[0]
    assert (post.body, post.headers["prefer"]) == ({"productCode": "psa"}, "wait=0")


def test_a_preview_lists_rows_and_examples(server: ScriptedServer, run: Run) -> None:
    server.script("GET", PATH, Reply(200, preview()))
    ran = run(*CHANGE, "--preview")
    assert (ran.code, [received.method for received in server.received]) == (0, ["GET"])
    assert server.received[0].query == [("productCode", "psa")]
    assert ran.stdout.splitlines() == [
        "Acme  algadesk -> psa",
        "would be added",
        "           5  roles",
        "              Dispatcher (MSP), Finance (MSP), …",
        "       1,134  permissions",
        "              asset:read (MSP), …",
        "would be changed",
        "           1  tenants",
        "              productCode: algadesk becomes psa",
        "stays, though a new tenant would not have it",
        "           1  roles",
        "              Agent (MSP)",
    ]
    assert run(*CHANGE, "--preview", "--json").document == preview()


@pytest.mark.parametrize("options", [("--preview",), ()])
def test_a_refused_change_is_a_conflict_and_nothing_is_started(
    server: ScriptedServer, run: Run, options: tuple[str, ...]
) -> None:
    server.script("GET", PATH, Reply(200, preview(**REFUSED)))
    ran = run(*CHANGE, *options)
    assert (ran.code, {received.method for received in server.received}) == (7, {"GET"})
    assert "refused (stripe-subscription): the tenant has a live subscription at Stripe (sub_1)" in ran.stdout


def test_a_tenant_of_the_product_is_shown(server: ScriptedServer, run: Run) -> None:
    server.script("GET", PATH, Reply(200, preview(productCode="psa", rows=0, tables=[], changes=[], stays=[])))
    server.script("POST", PATH, Reply(200, tenant()))
    ran = run(*CHANGE)
    assert (ran.code, ran.stdout.splitlines()[0].split()) == (0, ["Acme", "active"])
    assert "nothing was started" in ran.stderr
    assert "The tenant has this product" in run(*CHANGE, "--preview").stdout


def test_a_refusal_exits_7_and_says_why(server: ScriptedServer, run: Run) -> None:
    server.script("POST", PATH, problem(409, "tenant-suspended", "the tenant is suspended; reactivate it first"))
    ran = run(*CHANGE, "--yes", "--json")
    assert (ran.code, ran.document["error"]["code"]) == (7, "tenant-suspended")


def test_without_a_terminal_yes_is_required(server: ScriptedServer, run: Run) -> None:
    server.script("GET", PATH, Reply(200, preview()))
    ran = run(*CHANGE)
    assert (ran.code, "give --yes" in ran.stderr) == (2, True)


@pytest.mark.parametrize(("response", "code", "methods"), [("n", 3, ["GET"]), ("y", 0, ["GET", "POST"])])
def test_on_a_terminal_the_tenant_is_named_before_it_is_changed(
    server: ScriptedServer, run_at_terminal: Callable[..., Ran], response: str, code: int, methods: list[str]
) -> None:
    server.script("GET", PATH, Reply(200, preview()))
    server.script("POST", PATH, Reply(200, tenant()))
    ran = run_at_terminal(*CHANGE, "--json", typed=response)
    assert (ran.code, [received.method for received in server.received]) == (code, methods), ran.stderr
    assert f"Change Acme ({TENANT_ID}, 1,139 new rows) to psa, with no way back?" in ran.stderr
