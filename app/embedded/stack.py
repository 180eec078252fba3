"""The development stack: the two servers and the processes that the `dev` command adds to them."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from pathlib import Path
from typing import NoReturn, Self

from app.embedded.paths import claim_data_dir, keep_previous_logs, make_folder
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.processes.ports import KeptPorts
from app.embedded.processes.processes import ChildProcess
from app.embedded.processes.signals import shielded
from app.embedded.profile import remove_profile
from app.embedded.server import EmbeddedServer
from app.embedded.temporal import EmbeddedTemporal

READY_TIMEOUT = 300.0
WATCH_SECONDS = 0.2


@dataclass(frozen=True)
class Endpoints:
    """Where a running stack can be reached; URLs are plain `postgresql://…`.

    `temporal_ui` is None if there is no web UI or Temporal is external.
    """

    database_url: str = field(repr=False)
    admin_database_url: str = field(repr=False)
    temporal_address: str
    temporal_ui: str | None
    data_dir: Path


@dataclass(eq=False, repr=False)
class DevStack:
    """PostgreSQL and Temporal, each embedded unless an external one is given, and the processes started on them.

    `data_dir` is locked while the stack runs; by default it is this environment's first free one. It keeps the ports
    for the next start, and the logs of the last one. `database_url` needs `admin_database_url`, and defaults to it.
    `say` is called with what takes long or differs from the last start. On leaving the `with` block everything
    started here is stopped, the last first.
    """

    data_dir: Path | None = None
    _: KW_ONLY
    admin_database_url: str | None = None
    database_url: str | None = None
    temporal_address: str | None = None
    ui: bool = True
    durable: bool = True
    say: Callable[[str], None] = lambda _: None
    _cleanup: ExitStack = field(init=False, default_factory=ExitStack)
    _processes: list[ChildProcess] = field(init=False, default_factory=list)
    _endpoints: Endpoints | None = field(init=False, default=None)
    _ports: KeptPorts | None = field(init=False, default=None)

    def __enter__(self) -> Self:
        """Start the servers; raises `StackError`, or `FolderLockedError` if a given folder is in use."""
        try:
            self._endpoints = self._start()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        # A signal between two clean-ups would skip the rest of them.
        with shielded():
            self._endpoints = self._ports = None
            self._processes.clear()
            self._cleanup.close()

    @property
    def endpoints(self) -> Endpoints:
        """The addresses of the running stack; raises `RuntimeError` outside the `with` block."""
        if self._endpoints is None:
            raise RuntimeError("The stack is not running")
        return self._endpoints

    @property
    def ports(self) -> KeptPorts:
        """The ports that this stack's data folder keeps; raises `RuntimeError` outside the `with` block."""
        if self._ports is None:
            raise RuntimeError("The stack is not running")
        return self._ports

    def start_process(
        self, name: str, argv: Sequence[str | Path], env: Mapping[str, str], ready: Callable[[], bool]
    ) -> ChildProcess:
        """Start a process that ends with the stack, and return it once `ready()`.

        `env` is its whole environment; its output goes to `logs/<name>.log` in the data folder. Raises `StackError`
        with the tail of that log if it ends first or isn't ready after `READY_TIMEOUT`.
        """
        logs = self.endpoints.data_dir / "logs"
        make_folder(logs)
        process = ChildProcess(name, argv, log_file=logs / f"{name}.log", env=env, cwd=Path.cwd())
        self._cleanup.callback(process.stop)
        process.start()
        process.wait_until(ready, timeout=READY_TIMEOUT, say=self.say)
        self._processes.append(process)
        return process

    def watch(self) -> NoReturn:
        """Block until a process of the stack ends by itself, then raise `StackError` with the tail of its log."""
        while True:
            for process in self._processes:
                if process.exit_status is not None:
                    raise process.error(f"ended with status {process.exit_status}")
            time.sleep(WATCH_SECONDS)

    def _start(self) -> Endpoints:
        lock = claim_data_dir(self.data_dir)
        self._cleanup.callback(lock.release)
        remove_profile(lock.folder)
        self._cleanup.callback(remove_profile, lock.folder)
        keep_previous_logs(lock.folder)
        self.say(f"data and logs: {lock.folder}")
        self._ports = ports = KeptPorts(lock.folder / "ports.json", self.say)
        admin_database_url, database_url = self.admin_database_url, self.database_url
        temporal_address, temporal_ui = self.temporal_address, None
        if admin_database_url is None:
            postgres = EmbeddedPostgres(
                lock.folder / "postgres",
                durable=self.durable,
                pick_port=partial(ports.pick, "PostgreSQL"),
                say=self.say,
            )
            self._start_server(postgres)
            admin_database_url, database_url = postgres.admin_url, postgres.url
        if temporal_address is None:
            temporal = EmbeddedTemporal(
                lock.folder / "temporal",
                ui=self.ui,
                durable=self.durable,
                pick_port=partial(ports.pick, "Temporal"),
                pick_ui_port=partial(ports.pick, "Temporal's web UI"),
                say=self.say,
            )
            self._start_server(temporal)
            temporal_address, temporal_ui = temporal.address, temporal.ui_url
        ports.keep()
        return Endpoints(
            database_url=database_url or admin_database_url,
            admin_database_url=admin_database_url,
            temporal_address=temporal_address,
            temporal_ui=temporal_ui,
            data_dir=lock.folder,
        )

    def _start_server(self, server: EmbeddedServer) -> None:
        # The clean-up is registered first, because a stop signal may arrive at any moment.
        self.say(f"starting {server.name}")
        self._cleanup.callback(server.stop)
        server.start()
        self._processes.append(server.process)
