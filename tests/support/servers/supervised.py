"""A process that is restarted whenever it ends, as in Kubernetes."""

import asyncio
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from app.embedded.processes.processes import ChildProcess
from tests.support.waiting import wait_until

BACK_OFF_SECONDS = 0.5
END_TIMEOUT = 60.0


class SupervisedProcess:
    """Runs in its `async with` block; it can be killed or terminated, and restarts after a while.

    `launch` returns the environment of the next start. Every start writes its own log file to `logs`. `exits` are the
    statuses of unexpected ends, `dirty_ends` those after SIGTERM other than 0.
    """

    def __init__(
        self, name: str, argv: Sequence[str], *, launch: Callable[[], Mapping[str, str]], logs: Path, cwd: Path
    ) -> None:
        self.name = name
        self.starts = 0
        self.exits: list[int] = []
        self.dirty_ends: list[int] = []
        self._argv = argv
        self._launch = launch
        self._logs = logs
        self._cwd = cwd
        self._process: ChildProcess | None = None
        self._wanted = asyncio.Lock()
        self._supervisor: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._start()
        self._supervisor = asyncio.create_task(self._supervise())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._supervisor is not None:
            self._supervisor.cancel()
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.stop()

    async def kill(self, down: float) -> None:
        """End it with SIGKILL, and start it again `down` seconds later."""
        async with self._wanted:
            self._running.send_signal(signal.SIGKILL)
            await self._ended()
            await asyncio.sleep(down)
            self._start()

    async def terminate(self, down: float) -> None:
        """End it with SIGTERM, and start it again `down` seconds after its end."""
        async with self._wanted:
            self._running.send_signal(signal.SIGTERM)
            # A process that has just started doesn't handle signals yet.
            if (status := await self._ended()) not in {0, -signal.SIGTERM}:
                self.dirty_ends.append(status)
            await asyncio.sleep(down)
            self._start()

    @property
    def _running(self) -> ChildProcess:
        if self._process is None:
            raise RuntimeError(f"{self.name} has not been started")
        return self._process

    def _start(self) -> None:
        self.starts += 1
        process = ChildProcess(
            self.name,
            self._argv,
            log_file=self._logs / f"{self.name}.{self.starts}.log",
            env=self._launch(),
            cwd=self._cwd,
        )
        process.start()
        self._process = process

    async def _ended(self) -> int:
        await wait_until(self._has_ended, timeout=END_TIMEOUT)
        return self._running.exit_status or 0

    async def _has_ended(self) -> bool:
        return self._running.exit_status is not None

    async def _supervise(self) -> None:
        while True:
            await asyncio.sleep(BACK_OFF_SECONDS)
            async with self._wanted:
                status = self._running.exit_status
                if status is not None:
                    self.exits.append(status)
                    self._start()
