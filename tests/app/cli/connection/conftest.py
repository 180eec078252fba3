"""A `make run` as its command line sees it: a locked data folder with a profile that names a scripted gateway."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
from typer.testing import CliRunner

from app.cli import app
from app.embedded.paths import FolderLock
from app.embedded.profile import Profile, write_profile
from tests.app.cli.conftest import Ran
from tests.app.client.scripted_server import ScriptedServer

PROFILE_KEY = "at_of-the-profile"
NONE_GIVEN = (
    "ALGA_TENANTS_URL",
    "ALGA_TENANTS_API_KEY",
    "ADMIN_DATABASE_URL",
    "DATABASE_URL",
    "NEXTAUTH_SECRET",
    "SECRETS_DIR",
    "TEMPORAL_ADDRESS",
)
VARIABLES = {
    "ENVIRONMENT": "development",
    "ADMIN_DATABASE_URL": "postgresql://a:b@127.0.0.1:1/dev",
    "DATABASE_URL": "postgresql://a:b@127.0.0.1:1/dev",
    "NEXTAUTH_SECRET": "the secret of the profile",
    "TEMPORAL_ADDRESS": "127.0.0.1:1",
    "LOG_LEVEL": "warning",
}


class RunWith(Protocol):
    """Runs `alga-tenants` with these arguments, in an environment that names nothing but these variables."""

    def __call__(self, *arguments: str, **variables: str) -> Ran: ...


@pytest.fixture
def data_dir(tmp_path: Path, server: ScriptedServer) -> Iterator[Path]:
    """The data folder of a running instance."""
    lock = FolderLock(tmp_path / "data")
    write_profile(lock.folder, Profile(server.url, PROFILE_KEY, "http://127.0.0.1:8233", VARIABLES))
    yield lock.folder
    lock.release()


@pytest.fixture
def run_with() -> RunWith:
    def run(*arguments: str, **variables: str) -> Ran:
        environment: dict[str, str | None] = {**dict.fromkeys(NONE_GIVEN), **variables}
        result = CliRunner(env=environment).invoke(app, arguments, prog_name="alga-tenants")
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        return Ran(result.exit_code, result.stdout, result.stderr)

    return run
