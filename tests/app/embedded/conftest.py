"""Stacks that run in separate processes, so that a test can end such a process in every possible way."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.embedded.processes.processes import Account, launcher, unprivileged_account
from tests.app.embedded.owner import ENVIRONMENT, REPOSITORY, Owner
from tests.support.folders import reachable_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    with reachable_folder() as folder:
        yield folder


@pytest.fixture
def start_owner(folder: Path) -> Iterator[Callable[..., Owner]]:
    """Start the owner of a stack in `folder`, by default as the current user."""
    owners: list[Owner] = []

    def start(python: str = sys.executable, account: Account | None = None) -> Owner:
        owners.append(Owner(folder, python, account))
        owners[-1].process.start()
        return owners[-1]

    yield start
    for each in owners:
        each.process.stop()


@pytest.fixture(scope="session")
def ordinary_account() -> Account:
    account = unprivileged_account()
    if account is None:
        pytest.skip("the suite runs as an ordinary user already")
    return account


@pytest.fixture(scope="session")
def ordinary_python(ordinary_account: Account) -> str:
    """A Python of our version that an ordinary user can run; ours may be in root's home folder."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, shutil.which(version, path=os.defpath)):
        if python is not None and _can_import_us(python, ordinary_account):
            return python
    pytest.skip(f"{ordinary_account.name} can run neither {sys.executable} nor a system-wide {version}")


def _can_import_us(python: str, account: Account) -> bool:
    command = launcher([python, "-c", "import app.embedded.stack"], cwd=REPOSITORY, account=account)
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, check=False).returncode == 0  # noqa: S603 - a command line of ours
