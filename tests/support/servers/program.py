"""A server that runs as a child process while its `with` block does, and can be restarted on the same port."""

import os
import shutil
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

import pytest

from app.embedded.processes.ports import free_port
from app.embedded.processes.processes import ChildProcess

START_TIMEOUT = 60.0


def need_program(name: str, *, package: str | None = None) -> str:
    """Return the path of a program; skip the test if it is not installed.

    `package` is its Debian package, None if that has the same name.
    """
    found = shutil.which(
        name, path=f"{os.defpath}:/usr/sbin:/usr/local/bin:/usr/local/sbin:{os.environ.get('PATH', '')}"
    )
    if found is None:
        pytest.skip(f"{name} is not installed (Debian: apt-get install {package or name})")
    return found


class ServerProgram(ABC):
    """Base of servers on a free port; subclasses make the process and know when it is ready."""

    def __init__(self) -> None:
        self.port = free_port()
        self._process: ChildProcess | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The id of the running process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start, and return once it responds."""
        self._process = self._new_process()
        self._process.start()
        self._process.wait_until(self._is_ready, timeout=START_TIMEOUT)

    def stop(self) -> None:
        """Close all connections and end."""
        if self._process is not None:
            self._process.stop()

    def restart(self) -> None:
        """Close all connections and start again."""
        self.stop()
        self.start()

    @abstractmethod
    def _new_process(self) -> ChildProcess: ...

    @abstractmethod
    def _is_ready(self) -> bool: ...
