"""`python -m bench.load`: load on a running gateway, figures each second, a summary at the end."""

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
from bench.load.options import LoadOptions, RefusedError, parse

FAILED, REFUSED = 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as the command line says; 1 where requests failed, 2 where no load was put on anybody."""
    try:
        options = parse(sys.argv[1:] if arguments is None else arguments, os.environ)
    except RefusedError as refused:
        sys.stderr.write(f"{refused}\n")
        return REFUSED
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        generator = runner.run(put_load(options, say))
    return FAILED if generator.total.failures or (options.cancel_rest and generator.made.number_unfinished) else 0


def say(line: str) -> None:
    """Print at once, also into a pipe."""
    print(line, flush=True)  # noqa: T201 - a command


async def put_load(options: LoadOptions, say: Callable[[str], None]) -> Generator:
    """Do the whole run; returns its counts."""
    async with HttpClient(options.url, {"Authorization": f"Bearer {options.key}"}) as http:
        generator = Generator(options, http)
        telling = asyncio.create_task(_tell(generator, say))
        try:
            seconds = await generator.run()
        finally:
            telling.cancel()
        say(f"all {seconds:6.1f} s {generator.total.line(seconds)}")
        summary = generator.total.as_json(seconds)
        if options.cancel_rest:
            await _cancel_rest(generator, say)
    if options.json_file is not None:
        summary |= {
            "skipped": generator.skipped,
            "operations": [
                {"workflowId": workflow_id, "tenantId": generator.made.tenants[workflow_id], "status": status}
                for workflow_id, status in generator.made.statuses.items()
            ],
        }
        options.json_file.write_text(json.dumps(summary, indent=2) + "\n")
    return generator


async def _cancel_rest(generator: Generator, say: Callable[[str], None]) -> None:
    say(f"cancelling {generator.made.number_unfinished} operations")
    with contextlib.suppress(TimeoutError):
        await generator.cancel_rest()
    if left := generator.made.number_unfinished:
        say(f"{left} operations have not ended yet")


async def _tell(generator: Generator, say: Callable[[str], None]) -> None:
    begun = last = time.perf_counter()
    while True:
        await asyncio.sleep(1.0)
        now = time.perf_counter()
        line = generator.take_second().line(now - last)
        operations = f"under way {generator.under_way}  operations {generator.made.number_unfinished}"
        say(f"{now - begun:10.1f} s {line}  {operations}")
        last = now


if __name__ == "__main__":
    sys.exit(main())
