"""Runs Schemathesis against a running gateway and reads its report."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.auth.keys.format import ApiKey
from app.embedded.development import Installation
from tests.api.installation import (
    delete_tenants,
    exports,
    finished_operations,
    new_api_keys,
    new_webhooks,
    stuck_operations,
    unmanaged_tenants,
)
from workflows.tenants.steps import TENANT_CREATION

# Informs the hooks which key not to revoke.
OWN_KEY_ID = "API_TEST_KEY_ID"
# Informs the hooks where to write the number of requests by route and phase.
REQUESTS_FILE = "API_TEST_REQUESTS_FILE"
# Informs the hooks to send one systematic case of each kind.
SHORT = "API_TEST_SHORT"
REPOSITORY = Path(__file__).parents[2]
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")

# Seconds for one response; a stream of events ends with its operation.
REQUEST_TIMEOUT = 30


@dataclass(frozen=True)
class Trial:
    """A run with `examples` generated cases for each route and random phase.

    Before it, `targets` operations that wait for a change, as many to cancel at each path, as many that complete, and
    as many API keys to rotate are created; and `deletions` tenants to delete, as many whose deletion is to be
    confirmed, as many whose deletion is to be undone, and as many that are deleted. The run fails after `seconds`.

    A short one sends one of the systematic cases that do the same to the same parameter of a route.
    """

    seed: int
    examples: int
    targets: int
    seconds: float
    is_short: bool = False

    @property
    def deletions(self) -> int:
        """The number of tenants for each request of a deletion."""
        return max(3, self.targets // 5)


@dataclass(frozen=True)
class Verdict:
    """The result; `text` is the output of Schemathesis, `requests` the number of requests by route and phase.

    `never_accepted` are routes that rejected every request, so that little of them was tested.
    """

    cases: int
    failed_cases: int
    never_accepted: tuple[str, ...]
    is_complete: bool
    requests: str
    text: str

    @property
    def is_good(self) -> bool:
        """Whether every route was tested and conforms."""
        return self.is_complete and not self.failed_cases and not self.never_accepted

    def __str__(self) -> str:
        never = f"; never accepted: {', '.join(self.never_accepted)}" if self.never_accepted else ""
        return f"{self.text}\n{self.requests}\n{self.cases} cases, {self.failed_cases} of them failed{never}"


def try_api(trial: Trial, installation: Installation, folder: Path) -> Verdict:
    """Send generated requests to each route of the OpenAPI document, and check every response.

    Raises `TimeoutExpired`, with the output until then, when it takes too long.
    """
    key = ApiKey.parse(installation.api_key)
    if key is None:
        raise ValueError("the installation's key is no key of ours")
    shutil.copy(CONFIGURATION, folder)
    _write_dictionaries(trial, installation, folder)
    report, requests = folder / "report.json", folder / "requests.json"
    done = subprocess.run(  # noqa: S603 - a command line of ours
        _command(trial, installation, folder, report),
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(REPOSITORY),
            "SCHEMATHESIS_HOOKS": "tests.api.hooks",
            OWN_KEY_ID: key.key_id,
            REQUESTS_FILE: str(requests),
            **({SHORT: "1"} if trial.is_short else {}),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=trial.seconds,
        check=False,
    )
    if not report.exists():
        raise RuntimeError(f"Schemathesis did not run:\n{done.stdout}")
    return _read(json.loads(report.read_text()), _table(json.loads(requests.read_text())), done.stdout)


def _write_dictionaries(trial: Trial, installation: Installation, folder: Path) -> None:
    """Write existing ids to files beside the configuration, so that requests use them."""
    stuck = stuck_operations(installation, 3 * trial.targets, trial.seed)
    finished = finished_operations(installation, trial.targets + 4 * trial.deletions, trial.seed)
    tenants = [operation.removeprefix(TENANT_CREATION.id_prefix) for operation in finished]
    created, others = tenants[: trial.targets], tenants[trial.targets :]
    to_delete, to_confirm, to_undo, deleted = (others[number::4] for number in range(4))
    to_fetch, of_deleted = exports(installation, created), exports(installation, deleted)
    delete_tenants(installation, to_confirm + to_undo, confirmed=False)
    delete_tenants(installation, deleted, confirmed=True)
    (to_call, to_replay), (to_rotate_secret, _), (to_unhook, _) = (
        new_webhooks(installation, count, events) for count, events in ((1, trial.targets), (4, 0), (5, 0))
    )
    dictionaries = {
        "to_change": stuck[::3],
        "to_cancel": stuck[1::3],
        "to_cancel_creation": stuck[2::3],
        "to_follow": finished,
        "to_show": created,
        "to_delete": to_delete,
        "to_confirm": to_confirm,
        "to_undo": to_undo,
        "to_certify": deleted,
        "to_fetch": to_fetch,
        "to_remove": exports(installation, created),
        "to_restore": of_deleted,
        "to_read": [*created, *unmanaged_tenants(installation)],
        "to_rotate": new_api_keys(installation, trial.targets),
        "to_call": to_call,
        "to_replay": to_replay,
        "to_rotate_secret": to_rotate_secret,
        "to_unhook": to_unhook,
    }
    for name, entries in dictionaries.items():
        (folder / f"{name}.txt").write_text("".join(f'"{entry}"\n' for entry in entries))


def _command(trial: Trial, installation: Installation, folder: Path, report: Path) -> list[str | Path]:
    return [
        Path(sys.executable).with_name("schemathesis"),
        f"--config-file={folder / CONFIGURATION.name}",
        "--no-color",
        "run",
        f"{installation.url}/openapi.json",
        f"--header=Authorization: Bearer {installation.api_key}",
        f"--max-examples={trial.examples}",
        f"--seed={trial.seed}",
        "--continue-on-failure",
        "--generation-database=none",
        f"--request-timeout={REQUEST_TIMEOUT}",
        f"--report-json-path={report}",
    ]


def _table(requests: list[tuple[str, str, int]]) -> str:
    """Return the number of requests by route and phase, as text."""
    counts = {(route, phase): count for route, phase, count in requests}
    routes, phases = sorted({route for route, _ in counts}), sorted({phase for _, phase in counts})
    width = max(map(len, routes), default=0)
    lines = [" " * width + "".join(f"{phase:>10}" for phase in phases)]
    lines += [
        f"{route:{width}}" + "".join(f"{counts.get((route, phase), 0):>10}" for phase in phases) for route in routes
    ]
    return "\n".join(lines)


def _read(report: dict[str, Any], table: str, text: str) -> Verdict:
    cases, routes = report["test_cases"], report["operations"]
    accepted = {
        route for route, phases in report["valid_rates"].items() for rates in phases.values() if rates["accepted"]
    }
    return Verdict(
        cases=cases["generated"],
        failed_cases=cases["with_failures"] + cases["errored"],
        never_accepted=tuple(sorted(report["valid_rates"].keys() - accepted)),
        is_complete=report["stop_reason"] == "completed"
        and routes["tested"] == routes["total"]
        and not report["errors"],
        requests=table,
        text=text,
    )
