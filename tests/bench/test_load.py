"""Load on a running gateway: its refusals, its limits, and the operations it leaves."""

import argparse
import asyncio
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.http import HttpClient
from bench.load.__main__ import REFUSED, main, run_load
from bench.load.generator import Generator
from bench.load.operations import StartedOperations
from bench.load.options import KEY_VARIABLE, LoadOptions, LoadRefusedError, check_target, mix_of, parse
from bench.load.tally import LOST, Histogram, Tally
from tests.app.gateway.server import RunningGateway

pytestmark = pytest.mark.anyio
KEY = {KEY_VARIABLE: "a-key"}


def options(url: str, **changes: Any) -> LoadOptions:
    given = LoadOptions(
        url=url,
        key="a-key",
        rate=None,
        concurrency=3,
        duration=30.0,
        mix=mix_of("create=1,poll=5"),
        max_requests=40,
        max_tenants=3,
        cancel_rest=False,
        seed=1,
    )
    return replace(given, **changes)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000", "http://localhost", "https://[::1]:8443", "http://127.9.9.9"]
)
def test_this_machine_may_be_loaded(url: str) -> None:
    assert parse(["--url", url], KEY).url == url


@pytest.mark.parametrize("url", ["https://tenants.example.com", "http://10.0.0.7", "http://127.0.0.1.example.com"])
def test_another_machine_must_be_named_twice(url: str) -> None:
    with pytest.raises(LoadRefusedError, match="--i-may-load"):
        check_target(url, None)
    with pytest.raises(LoadRefusedError, match="--i-may-load"):
        check_target(url, "other.example.com")
    host = url.partition("//")[2]
    check_target(url, host)


def test_the_key_comes_from_the_environment_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(LoadRefusedError, match=KEY_VARIABLE):
        parse([], {})
    with pytest.raises(SystemExit):
        parse(["--key", "a-key"], {})
    assert "a-key" not in repr(parse([], KEY))
    assert "unrecognized" in capsys.readouterr().err


def test_a_refusal_has_its_own_exit_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "a-key")
    assert main(["--url", "http://192.0.2.1"]) == REFUSED
    assert "192.0.2.1 is not this machine" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "create", "create=-1", "create=0", "delete=1", "create=nan", "poll=inf"])
def test_an_invalid_mix_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        mix_of(text)


def test_times_are_stored_with_two_percent_precision() -> None:
    times = Histogram()
    for value in range(1, 1001):
        times.add(float(value))
    for percent, value in ((50, 500), (95, 950), (99, 990)):
        assert times.percentile(percent) == pytest.approx(value, rel=0.021)
    assert Histogram().percentile(50) is None


def test_a_request_to_retry_later_is_no_failure() -> None:
    tally = Tally()
    for status in ("202", "409", "429", "503"):
        tally.add("create", status, 1.0)
    assert tally.failures == 0
    for status in ("401", "500", LOST):
        tally.add("create", status, 1.0)
    assert tally.failures == 3
    assert tally.as_json(2.0)["requestsPerSecond"] == 3.5


def test_an_operation_that_has_ended_is_not_picked_while_others_run() -> None:
    made = StartedOperations()
    for name in "abc":
        made.add({"workflowId": name, "tenantId": name, "status": "queued"})
    made.update("a", "completed")
    chance = random.Random(1)  # noqa: S311 - no secret
    assert {made.pick(chance) for _ in range(50)} == {"b", "c"}
    made.update("c", "cancelled")
    made.update("b", "failed")
    assert made.pick(chance) == "c"
    assert made.pick(chance, unfinished_only=True) is None
    assert made.unfinished_count == 0


@pytest.mark.usefixtures("worker")
async def test_a_run_creates_polls_and_stops_at_its_limits(
    gateway: RunningGateway, api_key: str, tmp_path: Path
) -> None:
    lines: list[str] = []
    file = tmp_path / "load.json"
    generator = await run_load(options(gateway.url, key=api_key, json_file=file), lines.append)
    summary = json.loads(file.read_text())
    assert summary["requests"] == generator.total.total <= 40
    assert summary["responses"]["create"] == {"202": 3}
    assert set(summary["responses"]["poll"]) == {"200"}
    assert summary["failures"] == 0
    assert len({operation["tenantId"] for operation in summary["operations"]}) == 3
    assert lines[-1].startswith("all ")


@pytest.mark.usefixtures("worker")
async def test_unfinished_operations_are_cancelled_at_the_end(gateway: RunningGateway, api_key: str) -> None:
    lines: list[str] = []
    wanted = options(gateway.url, key=api_key, mix=mix_of("create=1"), rate=20.0, duration=0.2, cancel_rest=True)
    generator = await run_load(wanted, lines.append)
    assert generator.operations.unfinished_count == 0
    assert len(generator.operations.statuses) == 3
    assert set(generator.operations.statuses.values()) <= {"cancelled", "completed"}


async def test_a_wrong_key_is_a_failure(gateway: RunningGateway) -> None:
    generator = await run_load(options(gateway.url, max_requests=2, concurrency=1), lambda _: None)
    assert generator.total.by_status == {"401": 2}
    assert generator.total.failures == 2


async def test_an_unreachable_server_is_a_failure() -> None:
    generator = await run_load(options("http://127.0.0.1:9", max_requests=2, concurrency=1), lambda _: None)
    assert generator.total.by_status == {LOST: 2}


async def test_nothing_is_sent_until_retry_after() -> None:
    taken: list[int] = []

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        taken.append(1)
        writer.write(b"HTTP/1.1 429 \r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(respond, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        wanted = options(url, rate=50.0, duration=0.4, mix=mix_of("create=1"))
        async with HttpClient(url) as http:
            generator = Generator(wanted, http)
            await generator.run()
    assert len(taken) == generator.total.total
    assert generator.total.by_status["429"] >= 1
    assert generator.skipped >= 10
    assert generator.total.total + generator.skipped == 20
