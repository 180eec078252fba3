import json
import re
from pathlib import Path

import pytest

from tests.app.cli.conftest import Run
from tests.app.client.scripted_server import OPERATION_PATH, WORKFLOW_ID, Reply, ScriptedServer, document, problem

CHANGE = ("operations", "change", WORKFLOW_ID)


@pytest.fixture(autouse=True)
def accepted(server: ScriptedServer) -> None:
    server.script("PATCH", OPERATION_PATH, Reply(200, document()))


def test_a_change_sends_one_parameter_and_prints_the_operation(server: ScriptedServer, run: Run) -> None:
    ran = run(*CHANGE, "--license-count=12", "--json")
    assert (ran.code, ran.document) == (0, document())
    assert server.received[0].body == {"licenseCount": 12}
    assert f"{WORKFLOW_ID}  running" in run(*CHANGE, "--license-count=12").stdout


def test_every_option_is_a_parameter(server: ScriptedServer, run: Run) -> None:
    ran = run(
        *CHANGE, "--tenant-name=Acme", "--company-name=Acme Corp", "--client-name=Acme Client", "--plan=pro",
        "--billing-plan=Managed Services", "--billing-source=stripe", "--license-count=7", "--email-provider=smtp",
        "--addon=ai", "--addon=teams", "--address-line1=1 Main St", "--address-line2=Floor 2", "--address-city=Bern",
        "--address-state=BE", "--address-postal-code=3000", "--address-country-code=CH", "--address-phone=+41 1",
    )  # fmt: skip
    assert ran.code == 0
    assert server.received[0].body == {
        "tenantName": "Acme",
        "companyName": "Acme Corp",
        "clientName": "Acme Client",
        "plan": "pro",
        "billingPlan": "Managed Services",
        "billingSource": "stripe",
        "licenseCount": 7,
        "emailProvider": "smtp",
        "addons": ["ai", "teams"],
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


def test_a_file_is_sent_as_it_is(server: ScriptedServer, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "changes.json"
    file.write_text(json.dumps({"company_name": None, "addons": []}), encoding="utf-8")
    assert run(*CHANGE, f"--file={file}").code == 0
    assert run(*CHANGE, "--file=-", stdin='{"plan": "solo"}').code == 0
    assert [request.body for request in server.received] == [
        {"company_name": None, "addons": []},
        {"plan": "solo"},
    ]


@pytest.mark.parametrize(("arguments", "stdin"), [((), ""), (("--file=-",), "{}")], ids=["options", "file"])
def test_an_empty_change_is_rejected_and_names_the_options(
    server: ScriptedServer, run: Run, arguments: tuple[str, ...], stdin: str
) -> None:
    ran = run(*CHANGE, *arguments, stdin=stdin)
    assert (ran.code, server.received) == (2, [])
    named = set(re.findall(r"--[a-z-]+[a-z]", ran.stderr)) - {"--help"}
    assert {"--tenant-name", "--license-count", "--email-provider", "--addon", "--file"} <= named
    assert named <= set(re.findall(r"--[a-z-]+[a-z]", run("operations", "change", "--help").stdout))


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (("--file=-", "--plan=pro"), "{}", "combined"),
        (("--license-count=many",), "", "--license-count"),
        (("--product=psa",), "", "No such option"),
    ],
)
def test_wrong_usage_exits_2_and_sends_nothing(
    server: ScriptedServer, run: Run, arguments: tuple[str, ...], stdin: str, message: str
) -> None:
    ran = run(*CHANGE, *arguments, stdin=stdin)
    assert (ran.code, server.received) == (2, [])
    assert message in ran.stderr


def test_a_change_that_comes_too_late_exits_7(server: ScriptedServer, run: Run) -> None:
    server.script("PATCH", OPERATION_PATH, problem(409, "parameter-used", "the tenant has its name"))
    ran = run(*CHANGE, "--tenant-name=Bravo")
    assert ran.code == 7
    assert "the tenant has its name" in ran.stderr
