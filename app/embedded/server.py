"""What the embedded servers have in common: a locked data folder, one process, an orderly end."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Self

from app.embedded.paths import FolderLock
from app.embedded.processes.ports import free_port
from app.embedded.processes.processes import ChildProcess
from app.embedded.processes.signals import shielded

STOP_TIMEOUT = 30.0


class EmbeddedServer(ABC):
    """A server with its data in `data_dir`; use it in a `with` block, or `start` and `stop` it.

    On Linux it ends with this process in any case.
    """

    name: ClassVar[str]

    def __init__(self, data_dir: Path, *, durable: bool, pick_port: Callable[[], int] = free_port) -> None:
        self.data_dir = data_dir.absolute()
        self._durable = durable
        self._pick_port = pick_port
        self._lock: FolderLock | None = None
        self._server: ChildProcess | None = None

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
            self._start()
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
    def _start(self) -> None:
        """Start the process, with the folder locked."""

    @property
    def _locked(self) -> FolderLock:
        """The folder's lock, which the server's processes inherit."""
        if self._lock is None:
            raise RuntimeError("start() holds the lock")
        return self._lock

    def _stop_server(self) -> None:
        if self._server is not None:
            self._server.stop(timeout=STOP_TIMEOUT)
            self._server = None
