"""Runs commands in a terminal, as a person does, and reads what they print there."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

# Colours, what a progress bar draws with, and links.
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\]8;;.*?\x1b\\|\r")
ROWS, COLUMNS = 50, 120
POLL_SECONDS = 0.05
STOP_TIMEOUT = 240.0


class Terminal:
    """A terminal of its own in which one command runs; Ctrl-C is pressed at the end if it still does."""

    def __init__(self, command: str, *, folder: Path, environment: Mapping[str, str]) -> None:
        self._command, self._folder, self._environment = command, folder, environment
        self._output = bytearray()
        self._begun = time.monotonic()

    def __enter__(self) -> Self:
        self._main, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the README of this checkout
                # The leader of a new session that opens a terminal gets it. Ctrl-C then reaches all its processes.
                ["bash", "-c", f'exec <"$0" >"$0" 2>&1\n{self._command}', os.ttyname(terminal)],  # noqa: S607
                cwd=self._folder,
                env=dict(self._environment),
                stdin=terminal,
                stdout=terminal,
                stderr=terminal,
                start_new_session=True,
            )
        finally:
            os.close(terminal)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self.press_control_c()
            self.wait(STOP_TIMEOUT)
        os.close(self._main)

    @property
    def output(self) -> str:
        """What was printed until now, without colours."""
        return CONTROL.sub("", self._output.decode(errors="replace"))

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._begun

    def press_control_c(self) -> None:
        """Interrupt the command."""
        self.enter("\x03", end="")

    def enter(self, text: str, *, end: str = "\n") -> None:
        """Type a line."""
        os.write(self._main, f"{text}{end}".encode())

    def wait_for(self, pattern: str, timeout: float) -> re.Match[str]:
        """Return the first match in the output; raises `AssertionError` if the command ends or the time is over."""
        deadline = time.monotonic() + timeout
        while True:
            is_over = self._process.poll() is not None and not self._reader.is_alive()
            if found := re.search(pattern, self.output):
                return found
            assert not is_over, f"{self._command!r} ended without {pattern!r}:\n{self.output}"
            assert time.monotonic() < deadline, (
                f"{self._command!r} prints no {pattern!r} in {timeout} s:\n{self.output}"
            )
            time.sleep(POLL_SECONDS)

    def wait(self, timeout: float) -> int:
        """Return the exit status; raises `AssertionError` if the command and its children do not end in time."""
        try:
            status = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            raise AssertionError(f"{self._command!r} does not end in {timeout} s:\n{self.output}") from None
        # The terminal closes when the last process on it has ended.
        self._reader.join(timeout)
        assert not self._reader.is_alive(), f"{self._command!r} left a process behind:\n{self.output}"
        return status

    def _read(self) -> None:
        while True:
            try:
                chunk = os.read(self._main, 65536)
            except OSError:  # EIO: all processes on the terminal have ended
                return
            if not chunk:
                return
            self._output += chunk
