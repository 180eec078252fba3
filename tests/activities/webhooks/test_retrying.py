"""When a failed delivery is tried again."""

import pytest

from activities.webhooks.retrying import DELAYS, JITTER, MAX_RETRY_AFTER, next_delay

DAY = 86_400


def test_ten_attempts_take_three_days() -> None:
    delays = [next_delay(attempts) for attempts in range(1, 12)]
    assert delays[9:] == [None, None]
    for planned, delay in zip(DELAYS, delays[:9], strict=True):
        assert delay is not None
        assert planned <= delay <= planned * (1 + JITTER)
    assert 3 * DAY < sum(DELAYS) < 4 * DAY


def test_what_failed_together_is_not_repeated_together() -> None:
    assert len({next_delay(3) for _ in range(10)}) == 10


@pytest.mark.parametrize(("wanted", "delay"), [(600.0, 600.0), (10 * DAY, MAX_RETRY_AFTER)])
def test_a_receiver_can_ask_for_more_time_within_a_limit(wanted: float, delay: float) -> None:
    assert next_delay(1, wanted) == delay


def test_a_receiver_can_not_use_up_its_attempts() -> None:
    delay = next_delay(9, 1.0)
    assert delay is not None
    assert delay >= DELAYS[8]
