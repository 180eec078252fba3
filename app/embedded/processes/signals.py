"""Turns SIGINT, SIGTERM and SIGHUP into one exception that unwinds the program cleanly."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequested(SystemExit):
    """A stop signal arrived.

    As a `SystemExit` it passes through `except Exception` and asyncio tasks. Uncaught, it ends the program with the
    exit status that shells expect for the signal.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(128 + signum)
        self.signum = signum


class _State:
    shields = 0
    pending: int | None = None
    unwinding = False


@contextmanager
def stop_on_signals() -> Iterator[None]:
    """Raise `StopRequested` in the main thread at the first stop signal, from anywhere inside the block.

    Later signals are ignored, so that a second Ctrl-C doesn't interrupt the clean-up; they stay ignored after
    `StopRequested`, because the program is about to end and they must not change its exit status. Left in any other
    way, the block restores the former handlers. A SIGHUP that was ignored before (`nohup`) stays ignored. Must be
    entered in the main thread.
    """
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    for number in STOP_SIGNALS:
        if number != signal.SIGHUP or before[number] != signal.SIG_IGN:
            signal.signal(number, _on_signal)
    try:
        yield
    finally:
        # At its end Python resets handlers, but not ignored signals.
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if _State.unwinding else handler)
        _State.unwinding = False
        _State.pending = None


@contextmanager
def shielded() -> Iterator[None]:
    """Delay stop signals until the block is left, for moments in which a child could be lost.

    Signals reach only the main thread, so in other threads this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _State.shields += 1
    try:
        yield
    finally:
        _State.shields -= 1
        if not _State.shields and _State.pending is not None:
            _unwind(_State.pending)


def _on_signal(signum: int, _frame: FrameType | None) -> None:
    if _State.unwinding:
        return
    if _State.shields:
        _State.pending = signum
    else:
        _unwind(signum)


def _unwind(signum: int) -> None:
    _State.unwinding = True
    _State.pending = None
    raise StopRequested(signum)
