"""A program that owns a development stack in the folder it is given, says so, and waits to be told to stop."""

import json
import os
import signal
import sys
import sysconfig
from dataclasses import asdict
from pathlib import Path
from typing import Any

import temporalio

from app.embedded.processes.processes import Account, ChildProcess
from app.embedded.processes.signals import stop_on_signals
from app.embedded.stack import DevStack

REPOSITORY = Path(__file__).parents[3]
ENVIRONMENT = {
    "PATH": os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)]),
    "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(Path(temporalio.__file__).parents[1])]),
    "PYTHONDONTWRITEBYTECODE": "1",
}


class Owner:
    """That program, run by a test."""

    def __init__(self, folder: Path, python: str, account: Account | None) -> None:
        self.folder = folder / "data"
        self.process = ChildProcess(
            "owner",
            [python, __file__, self.folder],
            log_file=folder / "owner.log",
            env=ENVIRONMENT,
            cwd=REPOSITORY,
            account=account,
        )

    def wait_until_ready(self) -> dict[str, Any]:
        """What it says when its stack runs."""
        self.process.wait_until(lambda: self.process.log_tail().endswith("}"), timeout=60)
        said: dict[str, Any] = json.loads(self.process.log_tail())
        return said


def main(folder: str) -> None:
    # The suite may have been started so that a hang-up doesn't end it, and that is passed on.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    with stop_on_signals(), DevStack(Path(folder), durable=False) as stack:
        said = {"uid": os.getuid()} | asdict(stack.endpoints)
        sys.stdout.write(json.dumps(said, default=str))
        sys.stdout.flush()
        stack.watch()


if __name__ == "__main__":
    main(*sys.argv[1:])
