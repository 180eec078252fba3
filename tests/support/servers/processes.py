"""Processes, and waiting for a condition."""

import time
from collections.abc import Callable
from pathlib import Path

import psutil

POLL_SECONDS = 0.02


def processes_in(folder: Path) -> list[psutil.Process]:
    """Return the living processes whose working directory is `folder` or below."""
    return [process for process in psutil.process_iter() if _works_in(process, folder)]


def is_running(pid: int) -> bool:
    """Return whether the process exists and isn't a zombie."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_for(condition: Callable[[], bool], *, timeout: float = 30.0) -> None:
    """Return once the condition holds; `TimeoutError` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the condition never held")
        time.sleep(POLL_SECONDS)


def _works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return is_running(process.pid) and Path(process.cwd()).is_relative_to(folder.resolve())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
