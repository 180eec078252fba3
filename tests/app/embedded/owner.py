"""A program that runs a development stack in the given folder, prints its endpoints, and waits for a stop signal."""

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
    """That program as run by a test."""

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
        """Wait until the stack runs, and return what the program printed."""
        self.process.wait_until(lambda: self.process.log_tail().endswith("}"), timeout=60)
        printed: dict[str, Any] = json.loads(self.process.log_tail())
        return printed


def main(folder: str) -> None:
    # The test run may ignore SIGHUP, which children inherit.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    with stop_on_signals(), DevStack(Path(folder), durable=False) as stack:
        facts = {"uid": os.getuid()} | asdict(stack.endpoints)
        sys.stdout.write(json.dumps(facts, default=str))
        sys.stdout.flush()
        stack.watch()


if __name__ == "__main__":
    main(*sys.argv[1:])
