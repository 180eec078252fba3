"""A program that owns a development stack in the folder it is given, says so, and waits to be told to stop."""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from app.embedded.signals import stop_on_signals
from app.embedded.stack import DevStack


def main(folder: str) -> None:
    with stop_on_signals(), DevStack(Path(folder), durable=False) as stack:
        print(json.dumps({"pid": os.getpid(), "uid": os.getuid()} | asdict(stack.endpoints), default=str), flush=True)
        stack.watch()


if __name__ == "__main__":
    main(*sys.argv[1:])
