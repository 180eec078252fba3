"""The two checkouts of a comparison: the worktree of the earlier commit, and what its code runs with."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.embedded.processes.signals import shielded

REPOSITORY = Path(__file__).parents[2]
PACKAGES = ("app", "activities", "workflows", "migrations")
LOCK_FILE = "requirements-dev.lock"
PIN = re.compile(r"^([\w.\[\],-]+==[^\s;\\]+)", re.MULTILINE)
# Run like the service, in the checkout's folder, which precedes the editable install on the path.
IMPORTS = (
    "import importlib, json, sys;"
    " print(json.dumps({name: importlib.import_module(name).__path__[0] for name in sys.argv[1:]}))"
)


class CheckoutError(Exception):
    """A revision is unknown, or its code can't be run."""


@dataclass(frozen=True)
class Checkout:
    """A folder with the service's code; `name` is `present` or `earlier`."""

    name: str
    folder: Path


def resolve_commit(revision: str) -> str:
    """Return the full hash of a revision's commit; raise `CheckoutError` if there is none."""
    # A tag or a branch may begin with a hyphen without being an option of git.
    found = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if found.returncode != 0:
        raise CheckoutError(f"{revision!r} is not a revision of this repository")
    return found.stdout.strip()


@contextmanager
def worktree(commit: str, folder: Path) -> Iterator[Path]:
    """Check out the commit in that folder for the duration of the block; raise `CheckoutError` if git refuses."""
    try:
        # Interrupted halfway, git would leave an entry in the repository.
        with shielded():
            added = _git("-c", "core.hooksPath=/dev/null", "worktree", "add", "--detach", str(folder), commit)
        if added.returncode != 0:
            raise CheckoutError(f"git worktree add failed: {added.stderr.strip()}")
        yield folder
    finally:
        with shielded():
            _git("worktree", "remove", "--force", str(folder))


def check_imports(folder: Path, environment: Mapping[str, str]) -> None:
    """Raise `CheckoutError` unless a process that is started in the folder imports the service from there."""
    done = subprocess.run(  # noqa: S603 - our own command line
        [sys.executable, "-c", IMPORTS, *PACKAGES],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise CheckoutError(f"The code in {folder} can't be imported: {done.stderr.strip()}")
    for name, found in json.loads(done.stdout).items():
        if Path(found).resolve() != (folder / name).resolve():
            raise CheckoutError(f"{name} is imported from {found} instead of {folder}")


def differing_pins(earlier: Path, present: Path) -> tuple[list[str], list[str]]:
    """Return the pins that only the first checkout's lock file has, and those that only the second's has."""
    before, now = (_pins(folder / LOCK_FILE) for folder in (earlier, present))
    return sorted(before - now), sorted(now - before)


def _pins(lock: Path) -> set[str]:
    return set(PIN.findall(lock.read_text())) if lock.exists() else set()


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run git in its own session, which Ctrl-C in a terminal doesn't reach."""
    return subprocess.run(  # noqa: S603 - arguments of this module and a revision
        ["git", *arguments],  # noqa: S607 - whichever git the user has
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
    )
