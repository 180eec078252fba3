"""Completion as the shells ask for it: by variables, with the words of the line."""

from pathlib import Path
from typing import get_args

import pytest

from app.cli.connection import completion
from app.gateway.directory.schemas import TenantState, UserType
from app.worker.factory import WORKFLOWS
from tests.app.cli.connection.conftest import PROFILE_KEY, RunWith
from tests.app.client.scripted_server import TENANT_ID, WORKFLOW_ID, Reply, ScriptedServer, problem, summary
from workflows.operations.kinds import KINDS
from workflows.operations.statuses import OperationStatus
from workflows.tenants.request import ProductCode

TENANT = {"tenantId": TENANT_ID, "name": "Acme"}


@pytest.fixture
def completed(run_with: RunWith, data_dir: Path) -> "Complete":
    return Complete(run_with, data_dir)


class Complete:
    """Returns what bash would offer for the last word."""

    def __init__(self, run_with: RunWith, data_dir: Path) -> None:
        self._run = run_with
        self._data_dir = data_dir

    def __call__(self, *words: str, **variables: str) -> list[str]:
        line = {"COMP_WORDS": " ".join(("alga-tenants", *words)), "COMP_CWORD": f"{len(words)}"}
        asked = {"_ALGA_TENANTS_COMPLETE": "complete_bash", "ALGA_TENANTS_DATA_DIR": str(self._data_dir)}
        ran = self._run(**{**line, **asked, **variables})
        assert ran.stderr == ""
        return ran.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["rest"], ["restores"]),
        (["operations", "ca"], ["cancel"]),
        (["list", "--status", "r"], ["retrying", "rolling_back", "running"]),
        (["list", "--kind", "tenant_e"], ["tenant_export"]),
        (["tenants", "list", "--product", "p"], ["psa"]),
        (["tenants", "list", "--state", "d"], ["deletion_scheduled", "deleting", "deleted"]),
        (["create", "--product", "a"], ["algadesk"]),
        (["dev", "r"], ["reset"]),
        (["open", "d"], ["docs"]),
        (["keys", "create", "x", "--scope", "webhooks"], ["webhooks:manage"]),
    ],
)
def test_commands_and_fixed_values_are_completed(completed: Complete, words: list[str], offered: list[str]) -> None:
    assert completed(*words) == offered


def test_ids_are_those_that_the_gateway_knows(server: ScriptedServer, completed: Complete) -> None:
    other = summary(workflowId="welcome-email-1", tenantName="\x1b[2J")
    server.script("GET", "/operations", Reply(200, {"operations": [summary(), other], "nextPageToken": None}))
    server.script("GET", "/tenants", Reply(200, {"tenants": [TENANT], "nextPageToken": None}))
    assert completed("status", "tenant-c") == [WORKFLOW_ID]
    assert completed("cancel", "w") == ["welcome-email-1"]
    assert completed("tenants", "show", TENANT_ID[:3]) == [TENANT_ID]
    assert completed("list", "--tenant-id", "no") == []
    assert {request.headers["authorization"] for request in server.received} == {f"Bearer {PROFILE_KEY}"}


def test_a_given_gateway_is_asked(server: ScriptedServer, completed: Complete) -> None:
    server.script("GET", "/operations", Reply(200, {"operations": [summary()], "nextPageToken": None}))
    variables = {"ALGA_TENANTS_URL": server.url, "ALGA_TENANTS_API_KEY": "mine"}
    assert completed("status", "t", **variables) == [WORKFLOW_ID]
    assert server.received[0].headers["authorization"] == "Bearer mine"


@pytest.mark.parametrize("reply", [problem(503, "x"), problem(401, "x"), Reply(hang_up=True)])
def test_a_gateway_that_can_not_say_is_silence_after_one_request(
    server: ScriptedServer, completed: Complete, reply: Reply
) -> None:
    server.script("GET", "/operations", reply)
    assert completed("status", "t") == []
    assert len(server.received) == 1


def test_no_gateway_is_silence(completed: Complete, tmp_path: Path) -> None:
    assert completed("status", "t", ALGA_TENANTS_DATA_DIR="") == []
    assert completed("status", "t", ALGA_TENANTS_DATA_DIR=str(tmp_path)) == []


def test_the_fixed_values_are_those_of_the_service() -> None:
    assert WORKFLOWS, "importing the worker has registered every kind"
    assert set(completion.KINDS) == set(KINDS)
    assert set(completion.STATUSES) == set(OperationStatus)
    assert set(completion.PRODUCTS) == set(get_args(ProductCode))
    assert set(completion.STATES) == set(TenantState)
    assert set(completion.USER_TYPES) == set(UserType)
