"""`python -m bench`: measures the service against its floors, and reports which bars it meets."""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvloop
from temporalio.client import Client

from app.embedded.processes.signals import stop_on_signals
from app.embedded.stack import DevStack
from bench.comparison.checkout import CheckoutError, resolve_commit
from bench.comparison.run import Facts, compare
from bench.context import Context, Options
from bench.reporting import report
from bench.reporting.figures import Figures
from bench.reporting.verdicts import is_missed, judge
from bench.sections import EXTRA, SECTIONS
from bench.stack import Bench
from tests.support.folders import DISK, reachable_folder

BUDGET = 420.0


def main() -> int:
    """Run the command line and return the exit status."""
    arguments = _parse()
    names = arguments.only or ([] if arguments.against else list(SECTIONS))
    begun = time.monotonic()
    figures = Figures()
    failures: list[str] = []
    with stop_on_signals(), reachable_folder(DISK) as folder:
        options = Options(quick=arguments.quick, seed=arguments.seed, folder=folder)
        run = report.describe_run(
            seed=arguments.seed,
            is_quick=arguments.quick,
            sections=names,
            is_whole=set(SECTIONS) <= set(names),
            against=arguments.against,
        )
        if names:
            run["tables"] = _run_sections(options, names, begun, figures, failures)
        if arguments.against:
            run |= _run_comparison(arguments.against, options, figures, failures)
    run["seconds"] = round(time.monotonic() - begun, 1)
    verdicts = judge(figures)
    for line in report.lines(figures, verdicts):
        say(line)
    written = report.write(figures, verdicts, run, arguments.results)
    say("")
    say(f"{run['seconds']} s; written to {written}")
    if run["isWhole"] and not run["isQuick"] and not failures:
        say(f"history: {report.add_to_history(figures, run, arguments.results)}")
    for failure in failures:
        say(f"measuring failed: {failure}")
    return 1 if failures or (arguments.strict and is_missed(verdicts)) else 0


def say(line: str) -> None:
    """Print without buffering, even into a pipe."""
    print(line, flush=True)  # noqa: T201 - a command


def _run_sections(options: Options, names: Sequence[str], begun: float, figures: Figures, failures: list[str]) -> int:
    """Measure the sections on their own stack, and return how many of Alga's tables it has."""
    with DevStack(options.folder / "stack", ui=False) as stack:
        say("starting the servers")
        bench = Bench(stack)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            failures += runner.run(_measure(bench, options, names, begun, figures))
        return bench.tables


def _run_comparison(commit: str, options: Options, figures: Figures, failures: list[str]) -> dict[str, Any]:
    """Measure against the commit, and return what the report adds about the run."""
    say(f"measuring against commit {commit[: report.COMMIT_LENGTH]}")
    facts = Facts()
    try:
        compare(commit, options, figures, facts, say)
    except Exception as error:  # noqa: BLE001 - reported at the end, with the figures of the sections
        failures.append(f"against: {_reason(error)}")
    return facts.as_json()


async def _measure(bench: Bench, options: Options, names: Sequence[str], begun: float, figures: Figures) -> list[str]:
    """Add the figures of the sections, and return the failures."""
    context = Context(bench, await Client.connect(bench.endpoints.temporal_address), options, figures, say)
    is_bounded = not set(names) & set(EXTRA)
    failures = []
    for name in names:
        left = BUDGET - (time.monotonic() - begun)
        if is_bounded and left <= 0:
            failures.append(f"{name} was not started within {BUDGET:.0f} s")
            continue
        say(f"measuring {name}, {time.monotonic() - begun:.0f} s after the start")
        try:
            async with asyncio.timeout(left if is_bounded else None):
                await {**SECTIONS, **EXTRA}[name](context)
        except TimeoutError:
            failures.append(f"{name} was not finished within {BUDGET:.0f} s in all")
        except Exception as error:  # noqa: BLE001 - reported at the end; the other sections still count
            failures.append(f"{name}: {_reason(error)}")
    return failures


def _reason(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


def _commit(revision: str) -> str:
    try:
        return resolve_commit(revision)
    except CheckoutError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", action="append", choices=[*SECTIONS, *EXTRA], help="measure this; may be repeated")
    parser.add_argument(
        "--against",
        type=_commit,
        metavar="REVISION",
        help="measure this earlier commit and the present checkout in turns, and only the sections that --only names",
    )
    parser.add_argument("--quick", action="store_true", help="few iterations: shows that it works, not how fast")
    parser.add_argument("--seed", type=int, default=1, help="part of all generated names and e-mails (1)")
    parser.add_argument("--strict", action="store_true", help="exit with 1 if a bar is missed")
    parser.add_argument("--results", type=Path, default=report.RESULTS, help="folder for the JSON and the plot")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
