"""Temporal's development server, run from the `temporal` command of a wheel."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

from app.embedded.binaries import temporal_program
from app.embedded.blocking import run_blocking
from app.embedded.paths import FolderLock
from app.embedded.ports import LOOPBACK, free_port, on_free_ports
from app.embedded.processes import ChildProcess
from app.embedded.signals import shielded

NAMESPACE = "default"
START_TIMEOUT = 60.0
CALL_TIMEOUT = 2.0


class EmbeddedTemporal:
    """One Temporal server with the namespace `default` and, unless `ui` is False, the web UI.

    Workflows live in a file in `data_dir` and survive a restart; every start takes free ports.
    `durable=False` trades safety in a crash of the machine for speed. The server ends with this process, however
    that ends (Linux).
    """

    def __init__(
        self, data_dir: Path, *, ui: bool = True, durable: bool = True, pick_port: Callable[[], int] = free_port
    ) -> None:
        self.data_dir = data_dir.absolute()
        self._ui = ui
        self._durable = durable
        self._pick_port = pick_port
        self._lock: FolderLock | None = None
        self._server: ChildProcess | None = None
        self._port = 0
        self._ui_port = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def process(self) -> ChildProcess:
        """The running server; `RuntimeError` when it isn't."""
        if self._server is None:
            raise RuntimeError("Temporal is not running")
        return self._server

    @property
    def address(self) -> str:
        """The `host:port` of the server's frontend."""
        return f"{LOOPBACK}:{self._port}"

    @property
    def ui_url(self) -> str | None:
        """The address of the server's web UI, None when it has none."""
        return f"http://{LOOPBACK}:{self._ui_port}" if self._ui else None

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        return self.process.pid

    def start(self) -> None:
        """Start the server and return when its namespace can be used.

        Raises `FolderLockedError` when another instance uses the folder, `StackError` with the tail of the log
        when the server does not come up. Nothing is left running in either case.
        """
        self._lock = FolderLock(self.data_dir)
        try:
            program = temporal_program()
            on_free_ports(lambda: self._start_server(program))
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server if it runs."""
        with shielded():
            if self._server is not None:
                self._server.stop()
                self._server = None
            if self._lock is not None:
                self._lock.release()
                self._lock = None

    def _start_server(self, program: Path) -> None:
        if self._lock is None:
            raise RuntimeError("start() holds the lock")
        if self._server is not None:
            self._server.stop()
        self._port, self._ui_port = self._pick_port(), self._pick_port()
        self._server = ChildProcess(
            "Temporal",
            [program, "server", "start-dev", *self._options()],
            log_file=self.data_dir / "server.log",
            # Nothing of ours: TEMPORAL_ADDRESS and the like would be obeyed.
            env={"HOME": str(self.data_dir), "PATH": os.defpath},
            cwd=self.data_dir,
            keep_open=[self._lock.fd],
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
            # It would ask its makers' server for news of newer versions.
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
