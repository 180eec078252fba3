import pytest

from tests.app.cli.conftest import Run
from tests.app.client.scripted_server import (
    OPERATION_PATH,
    RESUME_PATH,
    TENANT_ID,
    WORKFLOW_ID,
    Reply,
    ScriptedServer,
    document,
    operation_error,
    problem,
    summary,
)

SOON = {"Retry-After": "0"}
NO_MORE = {"nextPageToken": None}


@pytest.mark.parametrize("state", ["running", "failed", "paused"])
def test_a_shown_operation_exits_0(server: ScriptedServer, run: Run, state: str) -> None:
    server.script("GET", OPERATION_PATH, Reply(200, document(state)))
    assert run("status", WORKFLOW_ID).code == 0
    assert run("status", WORKFLOW_ID, "--json").document == document(state)


def test_a_status_shows_steps_attempts_and_errors(server: ScriptedServer, run: Run) -> None:
    step = {
        "name": "create_tenant",
        "status": "retrying",
        "startedAt": "2026-01-31T12:00:00Z",
        "finishedAt": None,
        "attempts": 3,
    }
    error = operation_error("database-unavailable", "connection lost", step="create_tenant")
    status = document(
        "retrying", steps=[step], error=error, source="database", cancelledBy="key:x", cancelReason="why"
    )
    server.script("GET", OPERATION_PATH, Reply(200, status))
    text = run("status", WORKFLOW_ID).stdout
    assert "create tenant             retrying                  3 attempts" in text
    for shown in ("database-unavailable", "connection lost", "Temporal is unavailable", "by key:x: why", "15 %"):
        assert shown in text


def test_a_completed_operation_shows_request_result_and_warnings(server: ScriptedServer, run: Run) -> None:
    step = {"name": "track_customer", "status": "skipped", "startedAt": None, "finishedAt": None, "attempts": 0}
    warning = {"code": "mail-refused", "detail": "resend it", "step": "send_welcome_email"}
    parameters = {
        "tenantName": "Acme",
        "licenseCount": 10,
        "addons": ["ai", "teams"],
        "billingAddress": {"city": "Bern"},
    }
    status = document("completed", steps=[step], warnings=[warning], parameters=parameters)
    server.script("GET", OPERATION_PATH, Reply(200, status))
    text = run("operations", "show", WORKFLOW_ID).stdout
    shown = [" ".join(line.split()) for line in text.splitlines()]
    for line in (
        "tenant name Acme",
        "product code psa",
        f"tenant id {TENANT_ID}",
        "license count 10",
        "addons ai, teams",
        "billing address Bern",
        "admin user id 0b6c0f0e-6c43-5d0a-8a54-2f7a3f1f9c01",
        "track customer skipped",
        "warning: mail-refused in step send welcome email: resend it",
    ):
        assert shown.count(line) == 1
    assert any(line.startswith("committed 2026-0") for line in shown)


def test_an_unknown_status_step_and_kind_are_shown_and_listed(server: ScriptedServer, run: Run) -> None:
    step = {"name": "order_cake", "status": "baking", "startedAt": None, "finishedAt": None, "attempts": 1}
    server.script("GET", OPERATION_PATH, Reply(200, document("paused", kind="tenant_party", steps=[step])))
    text = run("operations", "show", WORKFLOW_ID).stdout
    for shown in ("paused", "tenant party", "order cake", "baking"):
        assert shown in text
    listed = summary("paused", kind="tenant_party", step="order_cake")
    server.script("GET", "/operations", Reply(200, {"operations": [listed], **NO_MORE}))
    assert "paused  order cake" in run("operations", "list").stdout


def test_an_unknown_operation_exits_4(server: ScriptedServer, run: Run) -> None:
    server.script("GET", OPERATION_PATH, problem(404, "operation-not-found", "there is none"))
    ran = run("status", WORKFLOW_ID)
    assert (ran.code, ran.stdout) == (4, "")
    assert "there is none" in ran.stderr


def test_a_watch_prints_a_line_of_json_for_each_change(server: ScriptedServer, run: Run) -> None:
    changes = [document(progress=5), document(progress=65), document("completed")]
    server.script("GET", OPERATION_PATH, *(Reply(200, change, SOON) for change in changes))
    ran = run("watch", WORKFLOW_ID, "--json")
    assert ran.code == 0
    assert ran.lines == changes


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("completed", 0),
        ("failed", 1),
        ("cancelled", 3),
        ("needs_attention", 9),
        ("awaiting_confirmation", 9),
        ("archived", 10),
        ("waiting", 11),
    ],
)
def test_the_exit_status_of_a_watch_depends_on_the_end(
    server: ScriptedServer, run: Run, state: str, code: int
) -> None:
    ended = document(state, finishedAt=None if code in {9, 11} else "2026-01-31T12:00:02Z")
    server.script("GET", OPERATION_PATH, Reply(200, document("paused"), SOON), Reply(200, ended))
    ran = run("watch", WORKFLOW_ID)
    assert ran.code == code
    assert "paused" in ran.stderr
    assert state.replace("_", " ") in ran.stdout


def test_a_watch_shows_the_warnings(server: ScriptedServer, run: Run) -> None:
    warning = {"code": "mail-refused", "detail": "resend it", "step": "send_welcome_email"}
    server.script("GET", OPERATION_PATH, Reply(200, document("completed", warnings=[warning])))
    ran = run("watch", WORKFLOW_ID)
    assert (ran.code, "mail-refused in step send welcome email: resend it" in ran.stdout) == (0, True)


def test_a_watch_with_a_timeout_exits_8(server: ScriptedServer, run: Run) -> None:
    server.script("GET", OPERATION_PATH, Reply(200, document(), {"Retry-After": "30"}))
    ran = run("watch", WORKFLOW_ID, "--json", "--timeout=0.1")
    assert (ran.code, ran.lines) == (8, [document()])


def test_a_watch_of_an_unknown_operation_prints_the_error(server: ScriptedServer, run: Run) -> None:
    server.script("GET", OPERATION_PATH, problem(404, "operation-not-found"))
    ran = run("watch", WORKFLOW_ID, "--json")
    assert (ran.code, ran.document["error"]["code"]) == (4, "operation-not-found")


def test_a_retry_is_reported_on_stderr(server: ScriptedServer, run: Run) -> None:
    refusal = problem(503, "temporal-unavailable", "Temporal is away", headers={"Retry-After": "0"})
    server.script("GET", OPERATION_PATH, refusal, Reply(200, document()))
    ran = run("status", WORKFLOW_ID, "--json")
    assert ran.document == document()
    assert "Temporal is away; trying again in 0.0 s" in ran.stderr


def test_an_accepted_cancel_exits_0(server: ScriptedServer, run: Run) -> None:
    server.script("DELETE", OPERATION_PATH, Reply(202, document("cancelling")))
    ran = run("cancel", WORKFLOW_ID, "--reason=ordered twice", "--json")
    assert (ran.code, ran.document["status"]) == (0, "cancelling")
    assert server.received[0].query == [("reason", "ordered twice")]


@pytest.mark.parametrize(
    ("state", "code"), [("cancelled", 0), ("completed", 7), ("failed", 1), ("needs_attention", 9)]
)
def test_the_exit_status_of_a_waiting_cancel_depends_on_the_end(
    server: ScriptedServer, run: Run, state: str, code: int
) -> None:
    before = document("needs_attention", updatedAt="2026-01-31T12:00:01Z")
    stopping = document("rolling_back")
    server.script("DELETE", OPERATION_PATH, Reply(202, {**before, "status": "cancelling"}))
    later = (Reply(200, before, SOON), Reply(200, stopping, SOON), Reply(200, document(state)))
    server.script("GET", OPERATION_PATH, *later)
    ran = run("cancel", WORKFLOW_ID, "--wait", "--json")
    assert (ran.code, ran.document["status"]) == (code, state)
    assert "rolling back" in ran.stderr


def test_a_cancel_that_comes_too_late_exits_7(server: ScriptedServer, run: Run) -> None:
    server.script("DELETE", OPERATION_PATH, problem(409, "operation-finished", "it has ended"))
    ran = run("cancel", WORKFLOW_ID)
    assert ran.code == 7
    assert "it has ended" in ran.stderr


def test_an_accepted_resume_exits_0(server: ScriptedServer, run: Run) -> None:
    server.script("POST", RESUME_PATH, Reply(202, document("running")))
    ran = run("resume", WORKFLOW_ID, "--json")
    assert (ran.code, ran.document["status"]) == (0, "running")


@pytest.mark.parametrize(("state", "code"), [("completed", 0), ("needs_attention", 9)])
def test_a_waiting_resume_ignores_the_status_before_it(
    server: ScriptedServer, run: Run, state: str, code: int
) -> None:
    before = document("needs_attention")
    server.script("POST", RESUME_PATH, Reply(202, {**before, "status": "running"}))
    later = document(state, updatedAt="2026-01-31T12:00:09Z")
    server.script("GET", OPERATION_PATH, Reply(200, before, {"Retry-After": "30"}), Reply(200, later))
    ran = run("resume", WORKFLOW_ID, "--wait", "--json")
    assert (ran.code, ran.document["updatedAt"]) == (code, "2026-01-31T12:00:09Z")


def test_a_resume_of_an_ended_operation_exits_7(server: ScriptedServer, run: Run) -> None:
    server.script("POST", RESUME_PATH, problem(409, "operation-finished", "it has ended"))
    assert run("resume", WORKFLOW_ID).code == 7


def test_a_waiting_operation_shows_deadline_and_actions(server: ScriptedServer, run: Run) -> None:
    links = {"self": OPERATION_PATH, "resume": RESUME_PATH}
    stuck = document("needs_attention", attentionDeadline="2026-02-07T12:00:00Z", links=links)
    server.script("GET", OPERATION_PATH, Reply(200, stuck))
    shown = " ".join(run("status", WORKFLOW_ID).stdout.split())
    assert "waits until 2026-02-0" in shown
    assert f"alga-tenants resume {WORKFLOW_ID} --wait" in shown


def test_a_list_is_a_table_of_one_line_each(server: ScriptedServer, run: Run) -> None:
    warning = {"code": "mail-refused", "detail": "resend it", "step": "send_welcome_email"}
    long_name = "Bravo " * 40
    operations = [summary("completed", warnings=[warning]), summary(status="failed", tenantName=long_name)]
    server.script("GET", "/operations", Reply(200, {"operations": operations, **NO_MORE}))
    ran = run("list")
    assert ran.code == 0
    header, first, second = ran.stdout.splitlines()
    assert header.split() == ["tenant", "status", "step", "started", "took", "workflow", "id", "error"]
    assert first.endswith(f"{WORKFLOW_ID}  warning: mail-refused")
    assert second.startswith(long_name)
    assert second.endswith(WORKFLOW_ID)
    assert "--limit" not in ran.stderr


def test_a_list_is_one_json_document(server: ScriptedServer, run: Run) -> None:
    server.script("GET", "/operations", Reply(200, {"operations": [summary()], **NO_MORE}))
    assert run("list", "--json").document == {"operations": [summary()]}


def test_a_list_stops_at_its_limit_and_says_so(server: ScriptedServer, run: Run) -> None:
    pages = [Reply(200, {"operations": [summary(), summary()], "nextPageToken": str(page)}) for page in range(3)]
    server.script("GET", "/operations", *pages)
    ran = run("list", "--limit=3")
    assert len(ran.stdout.splitlines()) == 1 + 3
    assert "first 3" in ran.stderr
    assert len(server.received) == 2


def test_the_filters_of_a_list_are_sent(server: ScriptedServer, run: Run) -> None:
    server.script("GET", "/operations", Reply(200, {"operations": [], **NO_MORE}))
    ran = run(
        "list", "--status=failed", "--status=running", "--kind=tenant_creation",
        f"--tenant-id={TENANT_ID}", "--name=acme", "--limit=10",
        "--started-after=2026-01-01T00:00:00Z", "--started-before=2026-02-01T00:00:00+02:00",
    )  # fmt: skip
    assert ran.code == 0
    assert server.received[0].query == [
        ("status", "failed"),
        ("status", "running"),
        ("kind", "tenant_creation"),
        ("tenantId", TENANT_ID),
        ("name", "acme"),
        ("startedAfter", "2026-01-01T00:00:00+00:00"),
        ("startedBefore", "2026-02-01T00:00:00+02:00"),
        ("pageSize", "10"),
    ]


def test_a_time_without_an_offset_is_local(server: ScriptedServer, run: Run) -> None:
    server.script("GET", "/operations", Reply(200, {"operations": [], **NO_MORE}))
    assert run("list", "--started-after=2026-01-31").code == 0
    ((_, sent), _) = server.received[0].query
    assert sent.startswith("2026-01-31T00:00:00")
    assert len(sent) == len("2026-01-31T00:00:00+00:00")


def test_an_invalid_time_exits_2(server: ScriptedServer, run: Run) -> None:
    ran = run("list", "--started-after=yesterday")
    assert ran.code == 2
    assert "2026-01-31" in ran.stderr
    assert server.received == []


def test_text_from_others_can_not_control_the_terminal(server: ScriptedServer, run: Run) -> None:
    nasty = "\x1b[2J\u202eAcme [bold]x[/]\n:bomb:"
    server.script("GET", "/operations", Reply(200, {"operations": [summary(tenantName=nasty)], **NO_MORE}))
    text = run("list").stdout
    assert "?[2J?Acme [bold]x[/]?:bomb:" in text
    error = operation_error("final", nasty)
    server.script(
        "GET",
        OPERATION_PATH,
        Reply(200, document("retrying", error=error)),
        Reply(200, document("failed", error=error)),
    )
    ran = run("watch", WORKFLOW_ID)
    assert "\x1b" not in ran.stdout + ran.stderr
    assert "?[2J?Acme [bold]x[/]?:bomb:" in ran.stderr


def test_ids_are_printed_one_a_line_for_scripts(server: ScriptedServer, run: Run) -> None:
    server.script("GET", "/operations", Reply(200, {"operations": [summary(), summary()], **NO_MORE}))
    assert run("list", "--ids").stdout == f"{WORKFLOW_ID}\n{WORKFLOW_ID}\n"
    ran = run("list", "--ids", "--json")
    assert (ran.code, ran.stdout, "--ids" in ran.stderr) == (2, "", True)


@pytest.mark.parametrize("command", ["status", "watch"])
def test_a_tenants_id_leads_to_its_newest_operation(server: ScriptedServer, run: Run, command: str) -> None:
    server.script("GET", "/operations", Reply(200, {"operations": [summary()], **NO_MORE}))
    server.script("GET", OPERATION_PATH, Reply(200, document("completed")))
    ran = run(command, TENANT_ID)
    assert ran.code == 0
    assert WORKFLOW_ID in ran.stdout
    assert ("tenantId", TENANT_ID) in server.received[0].query


def test_a_tenant_without_operations_exits_4(server: ScriptedServer, run: Run) -> None:
    server.script("GET", "/operations", Reply(200, {"operations": [], **NO_MORE}))
    ran = run("status", TENANT_ID)
    assert (ran.code, f"alga-tenants tenants show {TENANT_ID}" in ran.stderr) == (4, True)


@pytest.mark.parametrize("arguments", [("cancel",), ("resume",), ("operations", "change", "--plan=pro")])
def test_what_changes_an_operation_needs_its_own_id(
    server: ScriptedServer, run: Run, arguments: tuple[str, ...]
) -> None:
    ran = run(*arguments, TENANT_ID)
    assert (ran.code, server.received) == (4, [])
    assert f"alga-tenants list --tenant-id {TENANT_ID}" in ran.stderr


def test_problems_suggest_commands_instead_of_calls(server: ScriptedServer, run: Run) -> None:
    detail = f"x has not ended; repeat the request once GET /operations/{WORKFLOW_ID} shows its end"
    server.script("POST", RESUME_PATH, problem(409, "operation-in-progress", detail))
    ran = run("resume", WORKFLOW_ID)
    assert f"once `alga-tenants status {WORKFLOW_ID}` shows its end" in ran.stderr
