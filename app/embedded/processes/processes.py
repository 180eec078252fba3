"""Child processes: started in their own session, waited for by condition, and stopped reliably."""

import json
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import IO

from app.embedded.errors import StackError
from app.embedded.paths import open_private
from app.embedded.processes import launch
from app.embedded.processes.progress import Progress
from app.embedded.processes.signals import shielded

LOG_TAIL_LINES = 20
LOG_TAIL_BYTES = 16_384
POLL_SECONDS = 0.02
# A busy machine delays a start by minutes, but not its progress.
MAX_IDLE_SECONDS = 120.0
NOTICE_SECONDS = 10.0

# The kernel sends a child's death signal when the thread that started it ends. Hence one thread, which lives as long
# as the program, starts them all.
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")


@dataclass(frozen=True)
class Account:
    """A user account that a child runs as instead of root."""

    name: str
    uid: int
    gid: int


def unprivileged_account() -> Account | None:
    """Return the account for programs that refuse to run as root: `nobody` for root, else None (no change)."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam("nobody")
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


@dataclass(eq=False, repr=False)
class ChildProcess:
    """One child with its log file; `start` it, `wait_until` it is ready, `stop` it.

    `stop_signal` requests an orderly end; on Linux the kernel sends `death_signal` if this process dies first.
    `keep_open` are file descriptors that the child inherits.
    """

    name: str
    argv: Sequence[str | Path]
    _: KW_ONLY
    log_file: Path
    env: Mapping[str, str]
    cwd: Path
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL
    keep_open: Sequence[int] = ()
    _process: subprocess.Popen[bytes] | None = field(init=False, default=None)

    @property
    def pid(self) -> int:
        """The process id; raises `RuntimeError` before `start`."""
        return self._started().pid

    @property
    def exit_status(self) -> int | None:
        """None while it runs, then its exit status; a negative one is the signal that ended it."""
        return self._started().poll()

    def start(self, stdin: IO[bytes] | int = subprocess.DEVNULL) -> None:
        """Start it with an empty log file. Call `stop` afterwards, even if this or `wait_until` raises."""
        with shielded(), open_private(self.log_file) as log:
            self._process = _spawner.submit(
                subprocess.Popen,
                launcher(self.argv, cwd=self.cwd, account=self.account, death_signal=self.death_signal),
                stdin=stdin,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.env,
                start_new_session=True,
                pass_fds=self.keep_open,
            ).result()

    def wait_until(
        self, ready: Callable[[], bool], *, timeout: float, say: Callable[[str], None] = lambda _: None
    ) -> None:
        """Return once `ready()`; `say` is called every 10 s with what is waited for.

        Raises `StackError` if it ends first, `timeout` seconds pass, or it does nothing for two minutes: it writes no
        output and, as far as the system shows that, needs no processor time.
        """
        begun = time.monotonic()
        next_notice = begun + NOTICE_SECONDS
        progress = Progress(self.pid, self.log_file)
        while not ready():
            if self.exit_status is not None:
                raise self.error(f"ended with status {self.exit_status} before it was ready")
            if (now := time.monotonic()) > begun + timeout:
                raise self.error(f"was not ready after {timeout:.0f} s")
            if progress.idle_seconds() > MAX_IDLE_SECONDS:
                raise self.error(f"was not ready, and has done nothing for {MAX_IDLE_SECONDS:.0f} s")
            if now > next_notice:
                say(f"still waiting for {self.name}, after {now - begun:.0f} s")
                next_notice = now + NOTICE_SECONDS
            self._wait(POLL_SECONDS)
        if self.exit_status is not None:
            raise self.error(f"ended with status {self.exit_status}")

    def wait_for_success(self, *, timeout: float) -> None:
        """Wait for its end; raises `StackError` unless it is exit status 0 within `timeout` seconds."""
        if not self._wait(timeout):
            raise self.error(f"did not finish within {timeout:.0f} s")
        if self.exit_status != 0:
            raise self.error(f"ended with status {self.exit_status}")

    def stop(self, *, timeout: float = 15.0) -> None:
        """Stop it by its stop signal, or its session by SIGKILL after `timeout` seconds, unless it has ended."""
        if self._process is None:
            return
        with shielded():
            if self.exit_status is None:
                self._process.send_signal(self.stop_signal)
            if not self._wait(timeout):
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal unless it has ended."""
        self._started().send_signal(number)

    def error(self, reason: str) -> StackError:
        """Return an error about this process with the tail of its log."""
        return StackError(f"{self.name} {reason}; the end of {self.log_file}:\n{self.log_tail()}")

    def log_tail(self) -> str:
        """Return the last lines of its log."""
        with self.log_file.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - LOG_TAIL_BYTES))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-LOG_TAIL_LINES:])

    def _wait(self, timeout: float) -> bool:
        try:
            self._started().wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError(f"{self.name} has not been started")
        return self._process


def launcher(
    argv: Sequence[str | Path], *, cwd: Path, account: Account | None, death_signal: signal.Signals = signal.SIGKILL
) -> list[str]:
    """Return the command line that runs `argv` in `cwd` as `account`, tied to the life of this process."""
    options = {
        "parent": os.getpid(),
        "death_signal": int(death_signal),
        "uid": account.uid if account else None,
        "gid": account.gid if account else None,
        "cwd": str(cwd),
    }
    return [sys.executable, "-I", "-S", launch.__file__, json.dumps(options), *map(str, argv)]
