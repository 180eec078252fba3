"""Temporal's development server, run from the `temporal` command of a wheel."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

from app.embedded.binaries import temporal_program
from app.embedded.processes.blocking import run_blocking
from app.embedded.processes.ports import LOOPBACK, free_port
from app.embedded.processes.processes import ChildProcess
from app.embedded.server import EmbeddedServer

NAMESPACE = "default"
CALL_TIMEOUT = 5.0


@dataclass(eq=False, repr=False)
class EmbeddedTemporal(EmbeddedServer):
    """One Temporal server with the namespace `default` and, unless `ui` is False, the web UI.

    Workflows are stored in a file in `data_dir` and survive a restart; every start picks its ports.
    `durable=False` trades safety in a machine crash for speed.
    """

    name = "Temporal"

    ui: bool = field(default=True, kw_only=True)
    pick_ui_port: Callable[[], int] = field(default=free_port, kw_only=True)
    _port: int = field(init=False, default=0)
    _ui_port: int = field(init=False, default=0)

    @property
    def address(self) -> str:
        """The `host:port` of the server's frontend."""
        return f"{LOOPBACK}:{self._port}"

    @property
    def ui_url(self) -> str | None:
        """The address of the server's web UI, None if it has none."""
        return f"http://{LOOPBACK}:{self._ui_port}" if self.ui else None

    def _prepare(self) -> None:
        self._program = temporal_program()

    def _make_server(self) -> ChildProcess:
        self._port = self.pick_port()
        if self.ui:
            self._ui_port = self.pick_ui_port()
        return ChildProcess(
            self.name,
            [self._program, "server", "start-dev", *self._options()],
            log_file=self.data_dir / "server.log",
            # Not our environment: TEMPORAL_ADDRESS and similar variables would take effect.
            env={"HOME": str(self.data_dir), "PATH": os.defpath},
            cwd=self.data_dir,
            keep_open=[self._locked.fd],
        )

    def _options(self) -> list[str | Path]:
        return [
            *("--ip", LOOPBACK, "--port", str(self._port)),
            *(("--ui-port", str(self._ui_port), "--ui-disable-news-fetch") if self.ui else ("--headless",)),
            *("--db-filename", self.data_dir / "temporal.db"),
            # Starts two to three times as many workflows a second as SQLite's own choice, and survives a kill.
            *("--sqlite-pragma", "journal_mode=wal"),
            *("--sqlite-pragma", f"synchronous={'normal' if self.durable else 'off'}"),
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
