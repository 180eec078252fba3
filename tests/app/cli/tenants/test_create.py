import json
from pathlib import Path
from typing import Any

import pytest

from tests.app.cli.conftest import API_KEY, Run
from tests.app.client.scripted_server import (
    OPERATION_PATH,
    WORKFLOW_ID,
    Reply,
    ScriptedServer,
    document,
    operation_error,
    problem,
)

OPTIONS = (
    "--tenant-name=Acme",
    "--admin-first-name=Ada",
    "--admin-last-name=Byron",
    "--admin-email=ada@acme.example",
)
ADMIN = {"firstName": "Ada", "lastName": "Byron", "email": "ada@acme.example"}
SOON = {"Retry-After": "0"}


@pytest.fixture(autouse=True)
def accepted(server: ScriptedServer) -> None:
    """A gateway that accepts the request and completes it at the second poll."""
    server.script("POST", "/tenants", Reply(202, document("queued", progress=0, temporaryPassword="made-up-horse")))
    server.script("GET", OPERATION_PATH, Reply(200, document(), SOON), Reply(200, document("completed")))


def test_the_required_options_make_the_smallest_request(server: ScriptedServer, run: Run) -> None:
    assert run("create", *OPTIONS).code == 0
    assert server.received[0].body == {"tenantName": "Acme", "adminUser": ADMIN}


def test_every_option_is_a_field_of_the_request(server: ScriptedServer, run: Run) -> None:
    ran = run(
        "create", *OPTIONS, "--company-name=Acme Corp", "--client-name=Acme Client", "--product=algadesk",
        "--plan=pro", "--billing-plan=Managed Services", "--billing-source=stripe", "--license-count=7",
        "--email-provider=smtp", "--addon=ai", "--addon=teams", "--tenant-id=8d3f0a52-5c1e-4c52-9b0e-3f6f3e6d2a11",
        "--address-line1=1 Main St", "--address-line2=Floor 2", "--address-city=Bern", "--address-state=BE",
        "--address-postal-code=3000", "--address-country-code=CH", "--address-phone=+41 1",
        "--idempotency-key=order-1",
    )  # fmt: skip
    assert ran.code == 0
    assert server.received[0].headers["idempotency-key"] == "order-1"
    assert server.received[0].body == {
        "tenantName": "Acme",
        "adminUser": ADMIN,
        "companyName": "Acme Corp",
        "clientName": "Acme Client",
        "productCode": "algadesk",
        "plan": "pro",
        "billingPlan": "Managed Services",
        "billingSource": "stripe",
        "licenseCount": 7,
        "emailProvider": "smtp",
        "addons": ["ai", "teams"],
        "tenantId": "8d3f0a52-5c1e-4c52-9b0e-3f6f3e6d2a11",
        "billingAddress": {
            "line1": "1 Main St",
            "line2": "Floor 2",
            "city": "Bern",
            "state": "BE",
            "postalCode": "3000",
            "countryCode": "CH",
            "phone": "+41 1",
        },
    }


def test_people_see_the_password_once_the_ids_and_how_long_it_took(run: Run) -> None:
    ran = run("create", *OPTIONS)
    assert ran.stdout.count("made-up-horse") == 1
    for shown in (
        "8d3f0a52-5c1e-4c52-9b0e-3f6f3e6d2a11",
        "0b6c0f0e-6c43-5d0a-8a54-2f7a3f1f9c01",
        "4f1d8a1c-9d35-5f3b-b1fb-7c1f2b9c7d02",
        "1.5 s",
        WORKFLOW_ID,
    ):
        assert shown in ran.stdout
    assert "15 %  create tenant" in ran.stderr
    assert "100 %  completed" in ran.stderr


def test_programs_get_one_document_with_the_password(run: Run) -> None:
    ran = run("create", *OPTIONS, "--json")
    assert ran.document == document("completed", temporaryPassword="made-up-horse")
    assert "100 %  completed" in ran.stderr
    assert "made-up-horse" not in ran.stderr


def test_without_waiting_the_first_response_is_printed(server: ScriptedServer, run: Run) -> None:
    ran = run("create", *OPTIONS, "--json", "--no-wait")
    assert (ran.code, ran.document["status"]) == (0, "queued")
    assert len(server.received) == 1


@pytest.mark.parametrize(
    ("ended", "code"),
    [
        (document("completed"), 0),
        (document("failed", error=operation_error("duplicate-email", "is taken")), 1),
        (document("cancelled"), 3),
        (document("needs_attention"), 9),
    ],
    ids=lambda value: value["status"] if isinstance(value, dict) else value,
)
def test_the_exit_status_depends_on_the_end(
    server: ScriptedServer, run: Run, ended: dict[str, Any], code: int
) -> None:
    server.script("GET", OPERATION_PATH, Reply(200, ended))
    ran = run("create", *OPTIONS, "--json")
    assert (ran.code, ran.document["status"]) == (code, ended["status"])


def test_a_failure_is_explained(server: ScriptedServer, run: Run) -> None:
    errors = [{"field": "adminUser.email", "detail": "is taken"}]
    error = operation_error("duplicate-email", "the e-mail is taken", errors=errors, step="create_admin_user")
    server.script("GET", OPERATION_PATH, Reply(200, document("failed", error=error)))
    ran = run("create", *OPTIONS)
    assert "duplicate-email in step create admin user: the e-mail is taken" in ran.stdout
    assert "--admin-email is taken" in ran.stdout


def test_a_timeout_keeps_the_document_and_the_password(server: ScriptedServer, run: Run) -> None:
    server.script("GET", OPERATION_PATH, Reply(200, document(), {"Retry-After": "30"}))
    ran = run("create", *OPTIONS, "--json", "--timeout=0.1")
    assert ran.code == 8
    assert ran.document == document(temporaryPassword="made-up-horse")
    assert f"alga-tenants cancel {WORKFLOW_ID}" in ran.stderr


def test_a_gateway_lost_while_waiting_keeps_the_document(server: ScriptedServer, run: Run) -> None:
    server.script("GET", OPERATION_PATH, problem(503, "starting", headers={"Retry-After": "60"}))
    ran = run("create", *OPTIONS, "--json")
    assert (ran.code, ran.document["temporaryPassword"]) == (5, "made-up-horse")
    assert f"alga-tenants watch {WORKFLOW_ID}" in ran.stderr


def test_a_request_without_response_explains_how_to_repeat_it(server: ScriptedServer, run: Run) -> None:
    server.script("POST", "/tenants", Reply(hang_up=True))
    ran = run("create", *OPTIONS, "--json")
    assert (ran.code, ran.document["error"]["code"]) == (5, "unreachable")
    assert f"--idempotency-key {server.received[0].headers['idempotency-key']}" in ran.stderr


def test_a_repeated_request_does_not_show_the_password_again(server: ScriptedServer, run: Run) -> None:
    server.script("POST", "/tenants", Reply(202, document("completed")))
    assert "not shown again" in run("create", *OPTIONS).stderr


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (problem(400, "malformed-json"), 2),
        (problem(422, "invalid-request"), 2),
        (problem(401, "unauthenticated"), 6),
        (problem(403, "forbidden"), 6),
        (problem(409, "conflict"), 7),
        (problem(500, "internal-error"), 5),
        (problem(503, "temporal-unavailable", headers={"Retry-After": "60"}), 5),
        (Reply(200, b"<html>"), 5),
    ],
    ids=lambda value: value.status if isinstance(value, Reply) else value,
)
def test_the_exit_status_depends_on_the_rejection(
    server: ScriptedServer, run: Run, refusal: Reply, code: int
) -> None:
    server.script("POST", "/tenants", refusal)
    ran = run("create", *OPTIONS)
    assert ran.code == code
    assert ran.stdout == ""
    assert ran.stderr


def test_a_rejection_names_the_options_or_fields_and_the_request(server: ScriptedServer, run: Run) -> None:
    errors = [{"field": "licenseCount", "detail": "must be at least 1"}]
    server.script("POST", "/tenants", problem(422, "invalid-request", "1 field is wrong", errors=errors))
    ran = run("create", *OPTIONS, "--json")
    assert ran.document["error"] == {
        "code": "invalid-request",
        "title": "Invalid request",
        "detail": "1 field is wrong",
        "status": 422,
        "errors": errors,
        "requestId": "r-1",
    }
    for shown in ("Invalid request", "--license-count must be at least 1", "request id: r-1"):
        assert shown in ran.stderr
    from_file = run("create", "--file=-", stdin="{}")
    assert "licenseCount must be at least 1" in from_file.stderr


def test_a_password_from_stdin_is_sent_and_not_shown(server: ScriptedServer, run: Run) -> None:
    ran = run("create", *OPTIONS, "--admin-password-stdin", stdin="correct horse\nignored\n")
    assert server.received[0].body["adminUser"]["password"] == "correct horse"
    assert "correct horse" not in ran.stdout + ran.stderr


def test_a_request_file_is_sent_as_it_is(server: ScriptedServer, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "request.json"
    file.write_text(json.dumps({"tenant_name": "Ä", "admin_user": {"email": "x"}, "novelty": 1}), encoding="utf-8")
    assert run("create", f"--file={file}", "--admin-password-stdin", stdin="pass word").code == 0
    assert server.received[0].body == {
        "tenant_name": "Ä",
        "admin_user": {"email": "x", "password": "pass word"},
        "novelty": 1,
    }


def test_a_request_is_read_from_stdin(server: ScriptedServer, run: Run) -> None:
    assert run("create", "--file=-", stdin='{"tenantName": "Acme"}').code == 0
    assert server.received[0].body == {"tenantName": "Acme"}


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (("--tenant-name=Acme",), "", "--admin-email"),
        (("--file=-", "--tenant-name=Acme"), "{}", "leave out"),
        (("--file=-", "--admin-password-stdin"), "{}", "both"),
        (("--file=-",), "{", "line 1 column 2"),
        (("--file=-",), "[]", "not a JSON object"),
        (("--file=-",), '{"licenseCount": NaN}', "JSON"),
        (("--file=/nowhere/request.json",), "", "No such file"),
        ((*OPTIONS, "--admin-password-stdin"), "\n", "is empty"),
        ((*OPTIONS, "--admin-password-prompt"), "secret\nsecret\n", "no terminal"),
        ((*OPTIONS, "--admin-password=secret"), "", "No such option"),
        ((*OPTIONS, "--license-count=many"), "", "--license-count"),
        ((*OPTIONS, "--url=localhost"), "", "must be a URL"),
        ((*OPTIONS, "--idempotency-key=two words"), "", "visible ASCII"),
        ((*OPTIONS, "--api-key="), "", "empty"),
    ],
)
def test_wrong_usage_exits_2_and_sends_nothing(
    server: ScriptedServer, run: Run, arguments: tuple[str, ...], stdin: str, message: str
) -> None:
    ran = run("create", *arguments, stdin=stdin)
    assert ran.code == 2
    assert message in ran.stderr
    assert ran.stdout == ""
    assert server.received == []


def test_the_help_does_not_show_the_key_of_the_environment(run: Run) -> None:
    ran = run("create", "--help")
    assert "ALGA_TENANTS_API_KEY" in ran.stdout
    assert API_KEY not in ran.stdout


def test_a_rejected_password_names_the_option_that_gave_it(server: ScriptedServer, run: Run) -> None:
    errors = [{"field": "adminUser.password", "detail": "must have at least 8 characters"}]
    server.script("POST", "/tenants", problem(422, "invalid-request", errors=errors))
    ran = run("create", *OPTIONS, "--admin-password-stdin", stdin="short\n")
    assert (ran.code, "--admin-password-stdin must have at least 8 characters" in ran.stderr) == (2, True)
