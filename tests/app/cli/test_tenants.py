from tests.app.cli.conftest import Run
from tests.app.client.scripted_server import TENANT_ID, TENANT_PATH, Reply, ScriptedServer, problem, tenant


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
