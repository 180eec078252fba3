"""`python -m bench.load`: puts load on a running gateway, with figures each second and a summary at the end."""

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Sequence

import uvloop

from bench.http import HttpClient
from bench.load.generator import Generator
from bench.load.options import LoadOptions, LoadRefusedError, parse

FAILED, REFUSED = 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns 1 if requests failed, 2 if the load was refused."""
    try:
        options = parse(sys.argv[1:] if arguments is None else arguments, os.environ)
    except LoadRefusedError as refused:
        sys.stderr.write(f"{refused}\n")
        return REFUSED
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        generator = runner.run(run_load(options, say))
    are_left = options.cancel_rest and generator.operations.unfinished_count
    return FAILED if generator.total.failures or are_left else 0


def say(line: str) -> None:
    """Print without buffering, even into a pipe."""
    print(line, flush=True)  # noqa: T201 - a command


async def run_load(options: LoadOptions, say: Callable[[str], None]) -> Generator:
    """Run the load, and return the generator with its counts."""
    async with HttpClient(options.url, {"Authorization": f"Bearer {options.key}"}) as http:
        generator = Generator(options, http)
        reporting = asyncio.create_task(_report_progress(generator, say))
        try:
            seconds = await generator.run()
        finally:
            reporting.cancel()
        say(f"all {seconds:6.1f} s {generator.total.line(seconds)}")
        summary = generator.total.as_json(seconds)
        if options.cancel_rest:
            await _cancel_rest(generator, say)
    if options.json_file is not None:
        summary |= {
            "skipped": generator.skipped,
            "operations": [
                {"workflowId": workflow_id, "tenantId": generator.operations.tenants[workflow_id], "status": status}
                for workflow_id, status in generator.operations.statuses.items()
            ],
        }
        options.json_file.write_text(json.dumps(summary, indent=2) + "\n")
    return generator


async def _cancel_rest(generator: Generator, say: Callable[[str], None]) -> None:
    say(f"cancelling {generator.operations.unfinished_count} operations")
    with contextlib.suppress(TimeoutError):
        await generator.cancel_rest()
    if left := generator.operations.unfinished_count:
        say(f"{left} operations have not ended yet")


async def _report_progress(generator: Generator, say: Callable[[str], None]) -> None:
    begun = last = time.perf_counter()
    while True:
        await asyncio.sleep(1.0)
        now = time.perf_counter()
        line = generator.take_second().line(now - last)
        operations = f"in flight {generator.in_flight}  operations {generator.operations.unfinished_count}"
        say(f"{now - begun:10.1f} s {line}  {operations}")
        last = now


if __name__ == "__main__":
    sys.exit(main())
