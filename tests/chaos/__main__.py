"""`python -m tests.chaos`: a chaos run; exits with 1 if anything was lost, duplicated or misreported."""

import argparse
import asyncio
import json
import secrets
import shutil
import sys
from pathlib import Path

from app.embedded.processes.signals import stop_on_signals
from tests.chaos.checks.report import command, counts, lines
from tests.chaos.keeping import keep
from tests.chaos.plan import Plan, Shape
from tests.chaos.planning import make_plan
from tests.chaos.run import Outcome, Run, callers_of
from tests.chaos.stack import Installation, Servers, present_shapes
from tests.support.folders import reachable_folder


def main() -> int:
    """Run as the command line says and return the exit status."""
    arguments = _parse()
    plan = make_plan(
        arguments.seed,
        tenants=arguments.tenants,
        seconds=arguments.seconds,
        shape=arguments.shape or _shape(arguments.seed),
    )
    say(command(plan))
    if arguments.keep is not None:
        arguments.keep.mkdir(parents=True, exist_ok=True)
    with stop_on_signals(), reachable_folder() as folder:
        try:
            with Servers(folder, plan.shape) as servers:
                outcome = asyncio.run(_play(plan, servers, arguments.keep))
        finally:
            if arguments.keep is not None and (folder / "logs").exists():
                shutil.copytree(folder / "logs", arguments.keep, dirs_exist_ok=True)
    for line in lines(outcome):
        say(line)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(counts(outcome), indent=2) + "\n")
    return 1 if outcome.violations else 0


def say(line: str) -> None:
    """Print and flush."""
    print(line, flush=True)  # noqa: T201 - a command


async def _play(plan: Plan, servers: Servers, kept: Path | None) -> Outcome:
    async with Installation(servers) as installation, callers_of(installation) as http:
        outcome = await Run(plan, installation, http, say).play()
        if kept is not None:
            await keep(outcome, servers, kept)
        return outcome


def _shape(seed: int) -> Shape:
    shapes = present_shapes()
    return shapes[seed % len(shapes)]


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--tenants", type=int, default=100, help="how many tenants are asked for (100)")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000), help="what decides the plan")
    parser.add_argument("--seconds", type=float, default=180.0, help="how long the chaos lasts (180)")
    parser.add_argument("--shape", choices=["plain", "citus", "development"], help="of Alga's tables; else by seed")
    parser.add_argument("--json", type=Path, help="a file for the figures")
    parser.add_argument("--keep", type=Path, help="a folder for all logs, and for the histories of what went wrong")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
