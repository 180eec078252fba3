"""The runbook covers everything that the service reports, and its commands exist."""

import re

import pytest
from typer.testing import CliRunner

from activities.database import errors as database_errors
from activities.deletions.purging import NOT_DUE
from activities.export.masking import UNMASKABLE
from activities.export.restore.errors import RESTORE_REFUSED
from activities.export.restore.restoring import REFERENCE_MISSING, ROWS_DIFFER
from activities.export.rows import ExportState
from activities.export.storage import STORAGE_UNAVAILABLE
from activities.purge.errors import LockTimeoutError
from activities.tenants.export import EXPORT_UNAVAILABLE, TENANT_NOT_FOUND
from activities.tenants.restore import EXPORT_NOT_FOUND
from app.cli import app
from app.database import worker_engine
from app.gateway.app import create_app
from app.gateway.deletions.problems import CertificateNotFoundError, DeletionNotFoundError
from app.gateway.exports.problems import ExportPartNotFoundError, PresignedUnavailableError
from app.gateway.http.problems.problem import ProblemError
from app.gateway.http.problems.request_problems import ExportStorageOutageError
from app.gateway.operations.problems import (
    DeletionNotConfirmedError,
    ExportDamagedError,
    ForeignReferenceError,
    MissingRightError,
    PurgeIncompleteError,
    TenantExistsError,
)
from app.settings import Settings
from app.worker.probes import WorkerHealth
from tests.app.worker.test_worker import settings_for
from tests.deploy.chart import REPOSITORY
from workflows.operations.statuses import OperationStatus

pytestmark = pytest.mark.anyio

RUNBOOK = (REPOSITORY / "docs" / "runbook.md").read_text()
ROWS = set(re.findall(r"^\| `([^`]+)`", RUNBOOK, re.MULTILINE))
GROUPS = "archives|audit|certificate|exports|keys|operations|restores|tenants"
COMMAND = rf"alga-tenants ((?:(?:{GROUPS}) )?[a-z]+(?:-[a-z]+)*)((?: +--[a-z-]+| [A-Z]{{2,}}\b)*)"
COMMANDS = sorted(set(re.findall(COMMAND, RUNBOOK)))
DELETIONS = DeletionNotFoundError.__module__
EXPORTS = ExportPartNotFoundError.__module__
# A cell may name several codes.
CODES = set(re.findall(r"`([a-z]+(?:-[a-z]+)+)`", RUNBOOK))


@pytest.fixture
def settings() -> Settings:
    return settings_for("postgresql://nobody@localhost/nowhere")


def test_every_status_has_a_line() -> None:
    assert {str(status) for status in OperationStatus} <= ROWS


def test_every_code_of_a_transient_error_has_a_line() -> None:
    codes = {known.code for known in database_errors.KNOWN_ERRORS if not known.is_final}
    assert codes
    assert codes <= ROWS


def test_every_error_of_a_deletion_has_a_line() -> None:
    conflicts = {problem.code for problem in ProblemError.__subclasses__() if problem.__module__ == DELETIONS}
    conflicts -= {DeletionNotFoundError.code, CertificateNotFoundError.code}
    of_the_purge = {problem.code for problem in (MissingRightError, ForeignReferenceError, PurgeIncompleteError)}
    of_the_purge |= {DeletionNotConfirmedError.code, NOT_DUE, LockTimeoutError([]).code}
    assert len(conflicts) == 4
    assert conflicts | of_the_purge <= CODES


def test_every_state_and_error_of_exports_and_restores_has_a_line() -> None:
    shown = set(re.findall(r"`([a-z]+)`", "".join(re.findall(r"^\|([^|]+)\|", RUNBOOK, re.MULTILINE))))
    assert {str(state) for state in ExportState} <= shown
    problems = {problem.code for problem in ProblemError.__subclasses__() if problem.__module__ == EXPORTS}
    problems -= {ExportPartNotFoundError.code, PresignedUnavailableError.code}
    assert len(problems) == 3
    problems |= {ExportDamagedError.code, ExportStorageOutageError.code, TenantExistsError.code}
    errors = {EXPORT_UNAVAILABLE, TENANT_NOT_FOUND, UNMASKABLE, EXPORT_NOT_FOUND, RESTORE_REFUSED}
    assert problems | errors | {ROWS_DIFFER, REFERENCE_MISSING, STORAGE_UNAVAILABLE} <= CODES


async def test_every_check_of_a_probe_has_a_line(settings: Settings) -> None:
    for probes in (create_app(settings).state.probes, WorkerHealth(worker_engine(settings)).probes):
        checks = {*probes._checks, *probes._live}
        assert checks <= ROWS
    assert "shutdown" in ROWS


@pytest.mark.parametrize(("command", "arguments"), COMMANDS)
def test_every_command_exists_with_its_options(command: str, arguments: str) -> None:
    said = CliRunner().invoke(app, [*command.split(), "--help"], env={"COLUMNS": "200"})
    assert said.exit_code == 0, said.output
    assert set(re.findall(r"--[a-z-]+", arguments)) <= set(re.findall(r"--[a-z-]+", said.output))


def test_its_settings_exist() -> None:
    named = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", RUNBOOK)) - {"ALGA_TENANTS_URL", "ALGA_TENANTS_API_KEY"}
    assert named <= {name.upper() for name in Settings.model_fields}
