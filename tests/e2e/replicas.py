"""More gateways and workers of an installation, and ways to end a process."""

import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import anyio
import httpx

from app.embedded.processes.ports import LOOPBACK, free_port
from app.embedded.processes.processes import ChildProcess
from tests.e2e.conftest import PATIENCE, Service
from tests.support.servers.processes import wait_for

REPOSITORY = Path(__file__).parents[2]
PORT = {"gateway": "GATEWAY_PORT", "worker": "WORKER_PROBE_PORT"}
PROBE_TIMEOUT = 5.0


class Replica:
    """A process of the service, on a fixed port."""

    def __init__(self, service: Service, kind: str, settings: Mapping[str, str], *, code: Path = REPOSITORY) -> None:
        port = free_port()
        self.url = f"http://{LOOPBACK}:{port}"
        self.process = ChildProcess(
            kind,
            [sys.executable, "-m", "app.cli", kind],
            log_file=service.logs / f"{kind}-{uuid4().hex}.log",
            env={**service.environment, **settings, PORT[kind]: str(port)},
            cwd=code,
        )

    async def start(self) -> None:
        """Return once it is ready."""
        self.process.start()
        await ready(self.process, self.url)


@asynccontextmanager
async def replica(service: Service, kind: str, *, code: Path = REPOSITORY, **settings: str) -> AsyncIterator[Replica]:
    """Run one more gateway or worker from the code in that folder, with additional settings."""
    started = Replica(service, kind, settings, code=code)
    try:
        await started.start()
        yield started
    finally:
        await anyio.to_thread.run_sync(started.process.stop)


async def ready(process: ChildProcess, url: str) -> None:
    """Return once the process is ready; raise `StackError` if it ends instead."""

    def is_ready() -> bool:
        try:
            return httpx.get(f"{url}/readyz", timeout=PROBE_TIMEOUT).is_success
        except httpx.TransportError:
            return False

    await anyio.to_thread.run_sync(lambda: process.wait_until(is_ready, timeout=PATIENCE))


async def kill(process: ChildProcess) -> None:
    """End it with SIGKILL."""
    process.send_signal(signal.SIGKILL)
    await ended(process)


async def ended(process: ChildProcess) -> None:
    """Return once it has ended."""
    await anyio.to_thread.run_sync(wait_for, lambda: process.exit_status is not None)
