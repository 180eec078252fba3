"""The gateway in a process, with uvloop, its own memory and its own log."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import httpx
import psutil

from app.embedded.processes.ports import free_port
from app.embedded.processes.processes import ChildProcess
from app.settings import Settings
from tests.app.gateway.server import PATIENCE, environment_of

REPOSITORY = Path(__file__).parents[3]
MEBIBYTE = 2**20


class GatewayProcess:
    """`alga-tenants gateway`."""

    def __init__(self, settings: Settings, api_key: str, log_file: Path, **environment: str) -> None:
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.api_key = api_key
        self.process = ChildProcess(
            "gateway",
            [sys.executable, "-m", "app.cli", "gateway"],
            log_file=log_file,
            env={"PATH": os.defpath, **environment_of(settings), "GATEWAY_PORT": str(self._port), **environment},
            cwd=REPOSITORY,
        )

    def start(self) -> None:
        self.process.start()
        self.process.wait_until(self._is_alive, timeout=4 * PATIENCE)

    def stop(self) -> None:
        self.process.stop()

    @property
    def log(self) -> str:
        return self.process.log_file.read_text()

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Lines of the log."""
        return [json.loads(line) for line in self.log.splitlines()]

    @property
    def memory(self) -> float:
        """Resident memory in MiB."""
        return float(psutil.Process(self.process.pid).memory_info().rss) / MEBIBYTE

    @property
    def connections(self) -> int:
        """Number of open client connections."""
        found = psutil.Process(self.process.pid).net_connections(kind="tcp")
        return sum(item.status == psutil.CONN_ESTABLISHED and item.laddr.port == self._port for item in found)

    def client(self, **headers: str) -> httpx.AsyncClient:
        """Return a client with these headers, by default with the API key."""
        return httpx.AsyncClient(
            base_url=self.url, timeout=PATIENCE, headers=headers or {"Authorization": f"Bearer {self.api_key}"}
        )

    def _is_alive(self) -> bool:
        try:
            return httpx.get(f"{self.url}/livez").is_success
        except httpx.TransportError:
            return False
