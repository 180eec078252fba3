from tests.app.cli.conftest import Run
from tests.app.client.scripted_server import (
    TENANT_ID,
    TENANT_PATH,
    WORKFLOW_ID,
    Reply,
    ScriptedServer,
    details,
    footprint,
    problem,
    tenant,
    user,
)


def test_a_tenant_is_shown(server: ScriptedServer, run: Run) -> None:
    server.script("GET", TENANT_PATH, Reply(200, tenant()))
    ran = run("tenants", "show", TENANT_ID)
    assert ran.code == 0
    heading, *details = (" ".join(line.split()) for line in ran.stdout.splitlines())
    assert heading == "Acme active"
    for line in (
        f"tenant id {TENANT_ID}",
        "company Acme Corporation",
        "e-mail ada@acme.example",
        "product psa",
        "plan pro",
        "users 3 of 10",
    ):
        assert line in details
    assert run("tenants", "show", TENANT_ID, "--json").document == tenant()


def test_an_unknown_tenant_exits_4(server: ScriptedServer, run: Run) -> None:
    server.script("GET", TENANT_PATH, problem(404, "tenant-not-found", "there is none"))
    ran = run("tenants", "show", TENANT_ID, "--json")
    assert (ran.code, ran.document["error"]["code"]) == (4, "tenant-not-found")
    assert "there is none" in ran.stderr


def test_tenants_are_a_table_of_one_line_each(server: ScriptedServer, run: Run) -> None:
    others = tenant(name="Bravo", state="deletion_scheduled", licenseCount=None, userCount=None, plan=None)
    server.script("GET", "/tenants", Reply(200, {"tenants": [tenant(), others], "nextPageToken": None}))
    header, first, second = run("tenants", "list").stdout.splitlines()
    assert header.split() == ["tenant", "state", "product", "plan", "users", "created", "tenant", "id"]
    assert "3 of 10" in first
    assert first.endswith(TENANT_ID)
    assert second.startswith("Bravo")
    assert "deletion scheduled" in second


def test_a_list_of_tenants_is_one_json_document(server: ScriptedServer, run: Run) -> None:
    server.script("GET", "/tenants", Reply(200, {"tenants": [tenant()], "nextPageToken": None}))
    assert run("tenants", "list", "--json").document == {"tenants": [tenant()]}


def test_a_list_of_tenants_stops_at_its_limit_and_says_so(server: ScriptedServer, run: Run) -> None:
    server.script("GET", "/tenants", Reply(200, {"tenants": [tenant(), tenant()], "nextPageToken": None}))
    ran = run("tenants", "list", "--limit=1")
    assert len(ran.stdout.splitlines()) == 1 + 1
    assert "first 1" in ran.stderr


def test_the_filters_of_a_list_of_tenants_are_sent(server: ScriptedServer, run: Run) -> None:
    server.script("GET", "/tenants", Reply(200, {"tenants": [], "nextPageToken": None}))
    ran = run("tenants", "list", "--search=acme", "--product=psa", "--state=suspended", "--limit=10")
    assert ran.code == 0
    expected = [("search", "acme"), ("productCode", "psa"), ("state", "suspended"), ("pageSize", "10")]
    assert server.received[0].query == expected


def test_a_tenant_is_shown_with_what_it_has(server: ScriptedServer, run: Run) -> None:
    server.script("GET", TENANT_PATH, Reply(200, details()))
    ran = run("tenants", "show", TENANT_ID)
    lines = [" ".join(line.split()) for line in ran.stdout.splitlines()]
    assert lines[0] == "Acme deletion scheduled"
    assert any(line.startswith("billing stripe: active, 10 seats, until 2026-03-01") for line in lines)
    assert any(line.startswith("add-ons ai_assistant (until 2026-04-01") and line.endswith("teams") for line in lines)
    assert "reason contract ended" in lines
    assert any(line.startswith("requested 2026-02-01") and line.endswith("by ada") for line in lines)
    assert not any(line.startswith("confirmed") for line in lines)
    assert lines[-1].startswith("tenant creation completed")
    assert lines[-1].endswith(WORKFLOW_ID)


def test_users_are_a_table_of_one_line_each(server: ScriptedServer, run: Run) -> None:
    users = [user(), user(email="bob@acme.example", isInactive=True, userType="client", roles=[], lastLoginAt=None)]
    server.script("GET", f"{TENANT_PATH}/users", Reply(200, {"users": users, "nextPageToken": None}))
    header, first, second = run("tenants", "users", TENANT_ID).stdout.splitlines()
    assert header.split() == ["e-mail", "state", "type", "name", "roles", "last", "login", "user", "id"]
    assert "Admin, Technician" in first
    assert first.endswith(user()["userId"])
    assert second.split()[:3] == ["bob@acme.example", "inactive", "client"]
    assert run("tenants", "users", TENANT_ID, "--json").document == {"users": users}


def test_the_filters_of_a_list_of_users_are_sent(server: ScriptedServer, run: Run) -> None:
    server.script("GET", f"{TENANT_PATH}/users", Reply(200, {"users": [], "nextPageToken": None}))
    assert run("tenants", "users", TENANT_ID, "--type=client", "--inactive", "--limit=10").code == 0
    assert server.received[0].query == [("userType", "client"), ("isInactive", "true"), ("pageSize", "10")]


def test_an_invalid_type_of_users_names_the_option(server: ScriptedServer, run: Run) -> None:
    errors = [{"field": "userType", "detail": "must be 'internal' or 'client'"}]
    server.script("GET", f"{TENANT_PATH}/users", problem(422, "invalid-request", errors=errors))
    ran = run("tenants", "users", TENANT_ID, "--type=robot")
    assert ran.code == 2
    assert "--type must be 'internal' or 'client'" in ran.stderr


def test_a_footprint_is_shown_with_the_largest_tables_first(server: ScriptedServer, run: Run) -> None:
    server.script("GET", f"{TENANT_PATH}/footprint", Reply(200, footprint()))
    lines = [" ".join(line.split()) for line in run("tenants", "footprint", TENANT_ID).stdout.splitlines()]
    assert lines[:5] == ["rows table", "12,345 tickets", "3 clients", "1 tenants", "12,349 rows in all"]
    assert lines[6:] == [
        "outside the database",
        *("2 email domains", "a.example, b.example", "At the provider."),
        *("? temporal", "Temporal did not respond."),
    ]
    assert run("tenants", "footprint", TENANT_ID, "--json").document == footprint()
