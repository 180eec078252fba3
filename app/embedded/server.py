"""What the embedded servers have in common: a locked data folder, one process, an orderly end."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import ClassVar, Self

from app.embedded.paths import FolderLock
from app.embedded.processes.ports import free_port, on_free_ports
from app.embedded.processes.processes import ChildProcess
from app.embedded.processes.signals import shielded

START_TIMEOUT = 300.0
STOP_TIMEOUT = 30.0


@dataclass(eq=False, repr=False)
class EmbeddedServer(ABC):
    """A server with its data in `data_dir`; use it in a `with` block, or `start` and `stop` it.

    On Linux it ends with this process in any case. `say` is called every 10 s with what a start waits for.
    """

    name: ClassVar[str]

    data_dir: Path
    _: KW_ONLY
    durable: bool = True
    pick_port: Callable[[], int] = free_port
    say: Callable[[str], None] = lambda _: None
    _lock: FolderLock | None = field(init=False, default=None)
    _server: ChildProcess | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.data_dir = self.data_dir.absolute()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def process(self) -> ChildProcess:
        """The running server; raises `RuntimeError` if it isn't running."""
        if self._server is None:
            raise RuntimeError(f"{self.name} is not running")
        return self._server

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        return self.process.pid

    def start(self) -> None:
        """Start the server and return when it can be used.

        Raises `FolderLockedError` if another instance uses the folder, or `StackError` with the tail of the log if
        the server does not start. Nothing is left running then.
        """
        self._lock = FolderLock(self.data_dir)
        try:
            self._prepare()
            on_free_ports(self._start_server)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server if it runs, and unlock the folder."""
        with shielded():
            self._stop_server()
            if self._lock is not None:
                self._lock.release()
                self._lock = None

    @abstractmethod
    def _prepare(self) -> None:
        """Find the server's program and create its data, with the folder locked."""

    @abstractmethod
    def _make_server(self) -> ChildProcess:
        """Pick ports, and return the process that listens on them."""

    @abstractmethod
    def _is_ready(self) -> bool:
        """Return whether the server can be used."""

    @property
    def _locked(self) -> FolderLock:
        """The folder's lock, which the server's processes inherit."""
        if self._lock is None:
            raise RuntimeError("start() holds the lock")
        return self._lock

    def _start_server(self) -> None:
        self._stop_server()
        self._server = self._make_server()
        self._server.start()
        self._server.wait_until(self._is_ready, timeout=START_TIMEOUT, say=self.say)

    def _stop_server(self) -> None:
        if self._server is not None:
            self._server.stop(timeout=STOP_TIMEOUT)
            self._server = None
