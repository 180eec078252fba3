"""`python -m bench`: measures the service beside its floors, and says which bars it reaches."""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop
from temporalio.client import Client

from app.embedded.signals import stop_on_signals
from app.embedded.stack import DevStack
from bench import report
from bench.context import Context, Options
from bench.sections import EXTRA, SECTIONS
from bench.stack import Bench
from bench.verdicts import is_missed, judge
from tests.support.folders import reachable_folder

BUDGET = 290.0


def main() -> int:
    """Run as the command line says; returns the exit status."""
    arguments = _parse()
    names = arguments.only or list(SECTIONS)
    begun = time.monotonic()
    with stop_on_signals(), reachable_folder() as folder:
        options = Options(quick=arguments.quick, seed=arguments.seed, folder=folder)
        with DevStack(folder / "stack", ui=False) as stack:
            say("starting the servers")
            bench = Bench(stack)
            run = report.describe_run(
                seed=arguments.seed,
                is_quick=arguments.quick,
                sections=names,
                is_whole=set(SECTIONS) <= set(names),
                tables=bench.tables,
            )
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                context, failures = runner.run(_measure(bench, options, names, begun))
    run["seconds"] = round(time.monotonic() - begun, 1)
    verdicts = judge(context.figures)
    for line in report.lines(context.figures, verdicts):
        say(line)
    written = report.write(context.figures, verdicts, run, arguments.results)
    say("")
    say(f"{run['seconds']} s; written to {written}")
    for failure in failures:
        say(f"measuring failed: {failure}")
    return 1 if failures or (arguments.strict and is_missed(verdicts)) else 0


def say(line: str) -> None:
    """Print at once, also into a pipe."""
    print(line, flush=True)  # noqa: T201 - a command


async def _measure(bench: Bench, options: Options, names: Sequence[str], begun: float) -> tuple[Context, list[str]]:
    """The figures, and why they are not complete."""
    context = Context(bench, await Client.connect(bench.endpoints.temporal_address), options, say)
    is_bounded = not set(names) & set(EXTRA)
    failures = []
    for name in names:
        left = BUDGET - (time.monotonic() - begun)
        if is_bounded and left <= 0:
            failures.append(f"{name} was not begun within {BUDGET:.0f} s")
            continue
        say(f"measuring {name}, {time.monotonic() - begun:.0f} s after the start")
        try:
            async with asyncio.timeout(left if is_bounded else None):
                await {**SECTIONS, **EXTRA}[name](context)
        except TimeoutError:
            failures.append(f"{name} was not finished within {BUDGET:.0f} s in all")
        except Exception as error:  # noqa: BLE001 - told at the end; the other sections are worth having
            failures.append(f"{name}: {_reason(error)}")
    return context, failures


def _reason(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", action="append", choices=[*SECTIONS, *EXTRA], help="measure this; may be repeated")
    parser.add_argument("--quick", action="store_true", help="few of everything: shows that it works, not how fast")
    parser.add_argument("--seed", type=int, default=1, help="part of every name and e-mail that is made up (1)")
    parser.add_argument("--strict", action="store_true", help="end with status 1 where a bar is missed")
    parser.add_argument("--results", type=Path, default=report.RESULTS, help="folder for the JSON and the plot")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
