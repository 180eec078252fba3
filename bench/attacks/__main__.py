"""Measures what attackers learn and cost: `python -m bench.attacks [FILE.json]`, on a real gateway process.

It compares the times in which unknown, wrong, revoked and expired keys are refused, and measures how much a flood of
wrong keys, endless trailers, bodies that are slow to validate, event streams, unread documents and held connections
slow a valid caller's status polls and grow the gateway's memory.
"""

import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from rich.console import Console
from rich.table import Table

from app.auth.keys.format import ApiKey
from bench.attacks.attacking import ATTACKS
from bench.attacks.guarded import Gateway, Keys, gateway, servers

TRIES = 200
# Runs that detect a difference of 5 % of the median would detect the time of argon2, which is many times longer.
SIGNIFICANCE = 0.01
SHUFFLES = 1000
WARM_UP = 20
# On a busy machine fewer attempts are made, and the table says how many.
MAX_SECONDS = 40.0
ROUNDS = 4
WINDOW_SECONDS = 3.0
MAX_SLOWDOWN = 2.0
# MiB
MAX_GROWTH = 50
TIMEOUT = 60.0
UNLIMITED = {"RATE_LIMIT_FAILED_PER_MINUTE": "0", "RATE_LIMIT_PER_MINUTE": "0"}
SEED = 20260101

Times = Mapping[str, Sequence[float]]


async def refusals(http: httpx.AsyncClient, keys: Keys, tries: int) -> dict[str, list[float]]:
    """Return the milliseconds in which each kind of bad key is refused; the kinds take turns in random order."""
    key_id = keys.good.record.key_id
    kinds = {
        "unknown id": lambda: ApiKey.generate().text,
        "wrong secret": lambda: ApiKey(key_id, ApiKey.generate().secret).text,
        "revoked": lambda: keys.revoked.key,
        "expired": lambda: keys.expired.key,
    }
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    order = random.Random(SEED)  # noqa: S311 - no secret
    until = time.monotonic() + MAX_SECONDS
    for attempt in range(WARM_UP + tries):
        if time.monotonic() > until and attempt > 2 * WARM_UP:
            break
        for kind in order.sample(list(kinds), len(kinds)):
            taken = await _timed(http, "/tenants/unknown", kinds[kind](), expected=401)
            if attempt >= WARM_UP:
                times[kind].append(taken)
    return times


def likelihood(times: Times) -> float:
    """Return how often labels shuffled within each turn give medians as far apart (permutation test)."""
    turns = list(zip(*times.values(), strict=True))
    observed = _spread(turns)
    shuffler = random.Random(SEED)  # noqa: S311 - no secret
    as_far = sum(_spread([shuffler.sample(turn, len(turn)) for turn in turns]) >= observed for _ in range(SHUFFLES))
    return (as_far + 1) / (SHUFFLES + 1)


async def polls_beside(command: Sequence[str], gateway: Gateway, key: str, path: str) -> dict[str, Any]:
    """Measure status polls in turn without and with an attack by another process.

    Returns milliseconds, the statuses that the attack got, the delay of the event loop as `/livez` shows it, and the
    growth of the gateway's memory.
    """
    url = gateway.url
    times: dict[str, list[float]] = {"quiet": [], "flood": []}
    delays: list[float] = []
    statuses: Counter[str] = Counter()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as flood:  # noqa: ASYNC220, S603 - at once; our own
        if flood.stdin is None or flood.stdout is None:
            raise RuntimeError("the flood has no pipes")
        async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT) as http:
            for _ in range(WARM_UP):
                await _timed(http, path, key, expected=200)
            quiet_memory = highest_memory = _memory(gateway.pid)
            for _ in range(ROUNDS):
                quiet_until = time.monotonic() + WINDOW_SECONDS
                while time.monotonic() < quiet_until:
                    times["quiet"].append(await _timed(http, path, key, expected=200))
                flood.stdin.write(f"{WINDOW_SECONDS}\n")
                flood.stdin.flush()
                response = asyncio.create_task(asyncio.to_thread(flood.stdout.readline))
                while not response.done():
                    times["flood"].append(await _timed(http, path, key, expected=200))
                    delays.append(await _timed(http, "/livez", key, expected=200))
                    highest_memory = max(highest_memory, _memory(gateway.pid))
                statuses.update(json.loads(await response))
        flood.stdin.close()
    return {
        **{kind: _summary(taken) for kind, taken in times.items()},
        "statuses": dict(statuses),
        "delay": max(delays),
        "growth": highest_memory - quiet_memory,
        "ratios": {
            name: _summary(times["flood"])[name] / _summary(times["quiet"])[name] for name in ("median", "p95")
        },
    }


async def measure(folder: Path) -> dict[str, Any]:
    """Return all figures, each with a verdict."""
    report: dict[str, Any] = {}
    with servers(folder) as (stack, keys):
        good = keys.good
        with gateway(stack, "gateway", UNLIMITED) as unlimited:
            url = unlimited.url
            path = await _started(url, good.key)
            async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT) as http:
                times = await refusals(http, keys, TRIES)
            chance = likelihood(times)
            report["refusals"] = {
                "kinds": {kind: _summary(taken) for kind, taken in times.items()},
                "p": chance,
                "is_ok": chance >= SIGNIFICANCE,
            }
            report["flood without limit"] = await polls_beside(
                _flood(unlimited, path, good.record.key_id), unlimited, good.key, path
            )
        with gateway(stack, "limited-gateway", {}) as limited:
            report["flood with the default limit"] = await polls_beside(
                _flood(limited, path, good.record.key_id), limited, good.key, path
            )
        for name in ATTACKS:
            with gateway(stack, f"gateway-beside-{name}", {}) as attacked:
                command = [
                    *(sys.executable, "-m", "bench.attacks.attacking", name),
                    *(attacked.url, path, keys.attacker.key),
                ]
                report[name] = await polls_beside(command, attacked, good.key, path)
    for name, figures in report.items():
        if name in ATTACKS:
            is_light = figures["growth"] <= MAX_GROWTH
            figures["is_ok"] = is_light and figures["ratios"]["median"] <= MAX_SLOWDOWN
        elif name != "refusals":
            figures["is_ok"] = max(figures["ratios"].values()) <= MAX_SLOWDOWN
    return report


def show(report: Mapping[str, Any]) -> None:
    """Print the figures as a table."""
    table = Table("measured", "n", "median ms", "quartiles ms", "p95 ms", "verdict", box=None)
    rows = [(f"refused: {kind}", figures, "") for kind, figures in report["refusals"]["kinds"].items()]
    rows[-1] = (*rows[-1][:2], f"{_verdict(report['refusals'])}: p = {report['refusals']['p']:.3f}")
    for name, figures in report.items():
        if name == "refusals":
            continue
        ratios = ", ".join(f"{what} x{ratio:.2f}" for what, ratio in figures["ratios"].items())
        rows += [
            (f"polls before {name}", figures["quiet"], ""),
            (
                f"polls beside {name}",
                figures["flood"],
                (
                    f"{_verdict(figures)}: {ratios}; loop {figures['delay']:.0f} ms late at most; "
                    f"{figures['growth']:+.0f} MiB; {figures['statuses']}"
                ),
            ),
        ]
    for name, figures, verdict in rows:
        quartiles = f"{figures['quartiles'][0]:.2f} to {figures['quartiles'][1]:.2f}"
        table.add_row(
            name, str(figures["n"]), f"{figures['median']:.2f}", quartiles, f"{figures['p95']:.2f}", verdict
        )
    Console(width=220).print(table)


def _flood(gateway: Gateway, path: str, key_id: str) -> list[str]:
    return [sys.executable, "-m", "bench.attacks.flooding", gateway.url, path, key_id]


def _memory(pid: int) -> float:
    """Return the resident memory in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _verdict(figures: Mapping[str, Any]) -> str:
    return "fine" if figures["is_ok"] else "BAD"


def _spread(turns: Sequence[Sequence[float]]) -> float:
    medians = [float(statistics.median(times)) for times in zip(*turns, strict=True)]
    return float(max(medians) - min(medians))


def _summary(times: Sequence[float]) -> dict[str, Any]:
    cuts = statistics.quantiles(times, n=20)
    return {"n": len(times), "median": statistics.median(times), "quartiles": [cuts[4], cuts[14]], "p95": cuts[18]}


async def _timed(http: httpx.AsyncClient, path: str, key: str, *, expected: int) -> float:
    started = time.perf_counter()
    response = await http.get(path, headers={"X-API-Key": key})
    taken = (time.perf_counter() - started) * 1000
    if response.status_code != expected:
        raise RuntimeError(f"{path} got status {response.status_code} instead of {expected}")
    return taken


async def _started(url: str, key: str) -> str:
    """Start an operation that stays unfinished, so that each poll queries Temporal, and return its path."""
    admin = {"firstName": "Ada", "lastName": "Byron", "email": f"ada-{uuid4().hex}@acme.example"}
    async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT, headers={"X-API-Key": key}) as http:
        response = await http.post("/tenants", json={"tenantName": "Acme", "adminUser": admin})
    response.raise_for_status()
    return f"/tenants/{response.json()['workflowId']}/status"


def main() -> int:
    """Measure, print, and write the figures to the file given; returns 1 if one of them is bad."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        report = asyncio.run(measure(Path(folder) / "stack"))
    show(report)
    if sys.argv[1:]:
        Path(sys.argv[1]).write_text(json.dumps(report, indent=2) + "\n")
    return 0 if all(figures["is_ok"] for figures in report.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
