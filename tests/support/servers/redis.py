"""A real Redis on a free port, without persistence."""

import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
from redis import Redis
from redis.exceptions import RedisError

from app.embedded.processes.ports import LOOPBACK, free_port
from app.embedded.processes.processes import ChildProcess

PROGRAM = "redis-server"
START_TIMEOUT = 10.0


def need_redis() -> str:
    """Return the path of the program; skip the test if it is not installed."""
    found = shutil.which(PROGRAM, path=f"{os.defpath}:/usr/sbin:/usr/local/bin:{os.environ.get('PATH', '')}")
    if found is None:
        pytest.skip("Redis is not installed (Debian: apt-get install redis-server)")
    return found


class RedisServer:
    """Runs in its `with` block; it can be stopped and started in between, on the same port."""

    def __init__(self, folder: Path) -> None:
        self._program = need_redis()
        self._port = free_port()
        self._folder = folder
        self._process: ChildProcess | None = None
        self.url = f"redis://{LOOPBACK}:{self._port}/0"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start empty, and return once it responds."""
        self._process = ChildProcess(
            "Redis",
            [self._program, "--bind", LOOPBACK, "--port", str(self._port), "--save", "", "--appendonly", "no"],
            log_file=self._folder / "redis.log",
            env={"PATH": os.defpath},
            cwd=self._folder,
        )
        self._process.start()
        self._process.wait_until(self._is_ready, timeout=START_TIMEOUT)

    def stop(self) -> None:
        """Close all connections and end."""
        if self._process is not None:
            self._process.stop()

    def keys(self) -> list[str]:
        """Return the names of all keys."""
        with Redis.from_url(self.url, decode_responses=True) as client:
            found: list[str] = list(client.scan_iter())
        return found

    def _is_ready(self) -> bool:
        try:
            with Redis.from_url(self.url) as client:
                return bool(client.ping())
        except RedisError:
            return False
