"""The gateway as a process of its own: with uvloop, and with memory and a log that belong to it alone."""

import os
import sys
from pathlib import Path

import httpx
import psutil

from app.embedded.processes.ports import free_port
from app.embedded.processes.processes import ChildProcess
from app.settings import Settings
from tests.app.gateway.server import PATIENCE, environment_of

REPOSITORY = Path(__file__).parents[2]
MEBIBYTE = 2**20


class GatewayProcess:
    """`alga-tenants gateway`."""

    def __init__(self, settings: Settings, api_key: str, log_file: Path, **environment: str) -> None:
        port = self._port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.api_key = api_key
        self._process = ChildProcess(
            "gateway",
            [sys.executable, "-m", "app.cli", "gateway"],
            log_file=log_file,
            env={"PATH": os.defpath, **environment_of(settings), "GATEWAY_PORT": str(port), **environment},
            cwd=REPOSITORY,
        )

    def start(self) -> None:
        self._process.start()
        self._process.wait_until(self._is_alive, timeout=4 * PATIENCE)

    def stop(self) -> None:
        self._process.stop()

    @property
    def log(self) -> str:
        return self._process.log_file.read_text()

    @property
    def memory(self) -> float:
        """Resident memory in MiB."""
        return float(psutil.Process(self._process.pid).memory_info().rss) / MEBIBYTE

    @property
    def connections(self) -> int:
        """Connections of clients that the process holds."""
        found = psutil.Process(self._process.pid).net_connections(kind="tcp")
        return sum(item.status == psutil.CONN_ESTABLISHED and item.laddr.port == self._port for item in found)

    def client(self, **headers: str) -> httpx.AsyncClient:
        """Return a client that shows the API key, unless it is given headers of its own."""
        return httpx.AsyncClient(
            base_url=self.url, timeout=PATIENCE, headers=headers or {"Authorization": f"Bearer {self.api_key}"}
        )

    def _is_alive(self) -> bool:
        try:
            return httpx.get(f"{self.url}/livez").is_success
        except httpx.TransportError:
            return False
