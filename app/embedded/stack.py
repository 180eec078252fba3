"""The development stack: the two servers and the processes that the `dev` command adds to them."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

from app.embedded.paths import claim_data_dir, make_folder
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.processes.processes import ChildProcess
from app.embedded.processes.signals import shielded
from app.embedded.temporal import EmbeddedTemporal

READY_TIMEOUT = 60.0
WATCH_SECONDS = 0.2


@dataclass(frozen=True)
class Endpoints:
    """Where a running stack can be reached; URLs are plain `postgresql://…`.

    `temporal_ui` is None where there is no web UI or it isn't ours.
    """

    database_url: str = field(repr=False)
    admin_database_url: str = field(repr=False)
    temporal_address: str
    temporal_ui: str | None
    data_dir: Path


class DevStack:
    """PostgreSQL and Temporal, each our own unless an external one is given, and the processes started on them.

    `data_dir` is locked while the stack runs; None takes this environment's default, or the next free one.
    `database_url` counts only together with `admin_database_url`, and defaults to that. On leaving the `with`
    block everything that was started ends, last started first.
    """

    def __init__(
        self,
        data_dir: Path | None = None,
        *,
        admin_database_url: str | None = None,
        database_url: str | None = None,
        temporal_address: str | None = None,
        ui: bool = True,
        durable: bool = True,
    ) -> None:
        self._data_dir = data_dir
        self._admin_database_url = admin_database_url
        self._database_url = database_url
        self._temporal_address = temporal_address
        self._ui = ui
        self._durable = durable
        self._cleanup = ExitStack()
        self._processes: list[ChildProcess] = []
        self._endpoints: Endpoints | None = None

    def __enter__(self) -> Self:
        """Start the servers; raises `StackError`, or `FolderLockedError` for a given folder that is in use."""
        try:
            self._endpoints = self._start()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    @property
    def endpoints(self) -> Endpoints:
        """The addresses of the running stack; `RuntimeError` outside the `with` block."""
        if self._endpoints is None:
            raise RuntimeError("The stack is not running")
        return self._endpoints

    def start_process(
        self,
        name: str,
        argv: Sequence[str | Path],
        env: Mapping[str, str],
        ready: Callable[[], bool],
        *,
        timeout: float = READY_TIMEOUT,
    ) -> ChildProcess:
        """Start a process that ends with the stack, and return it once `ready()`.

        `env` is its whole environment; what it prints goes to `logs/<name>.log` in the data folder. Raises
        `StackError` with the tail of that log when it ends first or isn't ready after `timeout` seconds.
        """
        logs = self.endpoints.data_dir / "logs"
        make_folder(logs)
        process = ChildProcess(name, argv, log_file=logs / f"{name}.log", env=env, cwd=Path.cwd())
        self._cleanup.callback(process.stop)
        process.start()
        process.wait_until(ready, timeout=timeout)
        self._processes.append(process)
        return process

    def watch(self) -> NoReturn:
        """Block until a process of the stack ends by itself, then raise `StackError` with the tail of its log."""
        while True:
            for process in self._processes:
                if process.exit_status is not None:
                    raise process.error(f"ended with status {process.exit_status}")
            time.sleep(WATCH_SECONDS)

    def _close(self) -> None:
        # A signal between two clean-ups would skip the rest of them.
        with shielded():
            self._endpoints = None
            self._processes.clear()
            self._cleanup.close()

    def _start(self) -> Endpoints:
        lock = claim_data_dir(self._data_dir)
        # Every clean-up is noted before what it cleans up exists: a stop signal may arrive at any moment.
        self._cleanup.callback(lock.release)
        admin_database_url, database_url = self._start_postgres(lock.folder)
        temporal_address, temporal_ui = self._start_temporal(lock.folder)
        return Endpoints(
            database_url=database_url,
            admin_database_url=admin_database_url,
            temporal_address=temporal_address,
            temporal_ui=temporal_ui,
            data_dir=lock.folder,
        )

    def _start_postgres(self, folder: Path) -> tuple[str, str]:
        if self._admin_database_url is not None:
            return self._admin_database_url, self._database_url or self._admin_database_url
        postgres = EmbeddedPostgres(folder / "postgres", durable=self._durable)
        self._cleanup.callback(postgres.stop)
        postgres.start()
        self._processes.append(postgres.process)
        return postgres.admin_url, postgres.url

    def _start_temporal(self, folder: Path) -> tuple[str, str | None]:
        if self._temporal_address is not None:
            return self._temporal_address, None
        temporal = EmbeddedTemporal(folder / "temporal", ui=self._ui, durable=self._durable)
        self._cleanup.callback(temporal.stop)
        temporal.start()
        self._processes.append(temporal.process)
        return temporal.address, temporal.ui_url
