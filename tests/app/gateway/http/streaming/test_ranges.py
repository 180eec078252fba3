import pytest

from app.gateway.http.problems.request_problems import RangeNotSatisfiableError
from app.gateway.http.streaming.ranges import ByteRange, requested_range


@pytest.mark.parametrize(
    ("header", "start", "end"),
    [("bytes=0-", 0, 10), ("Bytes=2-4", 2, 5), (" bytes=9-9 ", 9, 10), ("bytes=5-99", 5, 10), ("bytes=-3", 7, 10)],
)
def test_one_range_is_understood(header: str, start: int, end: int) -> None:
    assert requested_range(header, 10) == ByteRange(start, end, 10)


@pytest.mark.parametrize(
    "header",
    [None, "", "bytes", "bytes=", "bytes=-", "bytes=4-2", "bytes=0-1,3-4", "lines=1-2", "bytes=a-b", "bytes=\u00b2-"],
)
def test_any_other_header_is_ignored(header: str | None) -> None:
    assert requested_range(header, 10) is None


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-20", "bytes=-0"])
def test_a_range_without_a_byte_of_the_file_is_refused(header: str) -> None:
    with pytest.raises(RangeNotSatisfiableError) as refused:
        requested_range(header, 10)
    assert refused.value.headers["Content-Range"] == "bytes */10"
