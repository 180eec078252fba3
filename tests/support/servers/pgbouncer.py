"""A real PgBouncer in transaction mode for a PostgreSQL server."""

import os
import signal
import socket
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from app.embedded.postgres import EmbeddedPostgres
from app.embedded.processes.ports import LOOPBACK
from app.embedded.processes.processes import ChildProcess, unprivileged_account
from tests.support.servers.program import ServerProgram, need_program

SETTINGS = {
    "listen_addr": LOOPBACK,
    "unix_socket_dir": "",
    "auth_type": "scram-sha-256",
    "pool_mode": "transaction",
    "logfile": "",
}


class PgBouncer(ServerProgram):
    """PgBouncer with `settings` as lines of its configuration.

    `server_port` leads to the server in another way, such as a proxy. PgBouncer refuses to run as root, so then it
    runs as `nobody`.
    """

    def __init__(
        self, folder: Path, server: EmbeddedPostgres, *, server_port: int | None = None, **settings: str
    ) -> None:
        super().__init__()
        self._program = need_program("pgbouncer")
        self._account = unprivileged_account()
        self._folder = folder
        self._write(server, server_port or server.port, SETTINGS | {"listen_port": str(self.port)} | settings)

    def url(self, direct: str) -> str:
        """Return the URL through PgBouncer for a direct URL."""
        parts = urlsplit(direct)
        return parts._replace(netloc=parts.netloc.rpartition(":")[0] + f":{self.port}").geturl()

    def _new_process(self) -> ChildProcess:
        return ChildProcess(
            "PgBouncer",
            [self._program, "pgbouncer.ini"],
            log_file=self._folder / "pgbouncer.log",
            env={"PATH": os.defpath},
            cwd=self._folder,
            account=self._account,
            # Ends at once; SIGINT would wait for the clients.
            stop_signal=signal.SIGTERM,
        )

    def _is_ready(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex((LOOPBACK, self.port)) == 0

    def _write(self, server: EmbeddedPostgres, server_port: int, settings: Mapping[str, str]) -> None:
        self._folder.mkdir(mode=0o711)
        users = [urlsplit(url) for url in (server.admin_url, server.url)]
        passwords = [f'"{user.username}" "{unquote(user.password or "")}"' for user in users]
        lines = [
            "[databases]",
            f"* = host={server.host} port={server_port}",
            "[pgbouncer]",
            "auth_file = users.txt",
            *(f"{name} = {value}" for name, value in settings.items()),
        ]
        for name, content in (("users.txt", passwords), ("pgbouncer.ini", lines)):
            path = self._folder / name
            path.write_text("\n".join(content) + "\n")
            path.chmod(0o400)
            if self._account is not None:
                os.chown(path, self._account.uid, self._account.gid)
