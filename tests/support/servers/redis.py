"""A real Redis on a free port, without persistence."""

import os
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from app.embedded.processes.ports import LOOPBACK
from app.embedded.processes.processes import ChildProcess
from tests.support.servers.program import ServerProgram, need_program


class RedisServer(ServerProgram):
    """Starts empty, each time."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._program = need_program("redis-server")
        self._folder = folder
        self.url = f"redis://{LOOPBACK}:{self.port}/0"

    def _new_process(self) -> ChildProcess:
        return ChildProcess(
            "Redis",
            [self._program, "--bind", LOOPBACK, "--port", str(self.port), "--save", "", "--appendonly", "no"],
            log_file=self._folder / "redis.log",
            env={"PATH": os.defpath},
            cwd=self._folder,
        )

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
