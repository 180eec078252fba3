import signal
from collections.abc import Iterator

import pytest

from app.embedded.processes.signals import STOP_SIGNALS, StopRequested, shielded, stop_on_signals


@pytest.fixture(autouse=True)
def _our_own_handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_the_first_signal_unwinds_and_later_ones_do_not_disturb_the_clean_up() -> None:
    done: list[str] = []

    def work() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGINT)
            done.append("cleaned up")

    with pytest.raises(StopRequested) as stop, stop_on_signals():
        work()

    assert (stop.value.code, done) == (128 + signal.SIGTERM, ["cleaned up"])


def test_a_signal_waits_for_the_outermost_shield_to_end() -> None:
    done: list[str] = []

    def work() -> None:
        with shielded():
            with shielded():
                signal.raise_signal(signal.SIGINT)
                done.append("inner")
            done.append("outer")
        done.append("after")

    with pytest.raises(StopRequested), stop_on_signals():
        work()

    assert done == ["inner", "outer"]


def test_signals_can_stop_a_second_run_after_a_first() -> None:
    for _ in range(2):
        with pytest.raises(StopRequested), stop_on_signals():
            signal.raise_signal(signal.SIGINT)


def test_a_signal_that_comes_after_the_clean_up_does_not_disturb_the_program_s_end() -> None:
    with pytest.raises(StopRequested), stop_on_signals():
        signal.raise_signal(signal.SIGTERM)

    for number in STOP_SIGNALS:
        signal.raise_signal(number)


def test_the_handlers_from_before_are_put_back() -> None:
    before = signal.getsignal(signal.SIGINT)

    with stop_on_signals():
        assert signal.getsignal(signal.SIGINT) != before

    assert signal.getsignal(signal.SIGINT) == before


def test_a_hang_up_that_was_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_on_signals():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
