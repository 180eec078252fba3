"""Parses the CSV of a part as it is streamed."""

import csv
import io
from collections.abc import Iterator

# A value of PostgreSQL has less; Python's limit is a default that any value of text can exceed.
MAX_FIELD = 1 << 30


class CsvInvalidError(Exception):
    """A part is no CSV; the message says why."""


class CsvRecords:
    """Splits blocks into records; line breaks within quotes are part of a value."""

    def __init__(self) -> None:
        self._pending: list[bytes] = []
        self._is_quoted = False

    def feed(self, block: bytes) -> Iterator[list[str]]:
        """Yield the records that the block completes; raise `CsvInvalidError`."""
        end = self._last_end(block)
        if not end:
            self._pending.append(block)
            return
        complete = b"".join([*self._pending, block[:end]])
        self._pending = [block[end:]]
        csv.field_size_limit(MAX_FIELD)
        try:
            yield from csv.reader(io.StringIO(complete.decode(), newline=""), strict=True)
        except UnicodeDecodeError:
            raise CsvInvalidError("it is not UTF-8") from None
        except csv.Error as error:
            raise CsvInvalidError(str(error)) from None

    def end(self) -> None:
        """Raise `CsvInvalidError` if the last record is not complete."""
        if any(self._pending):
            raise CsvInvalidError("the last record is not complete")

    def _last_end(self, block: bytes) -> int:
        """Return where the last record ends in the block, 0 if none does."""
        pieces = block.split(b'"')
        found, end = 0, len(block)
        for number in reversed(range(len(pieces))):
            start = end - len(pieces[number])
            is_quoted = self._is_quoted ^ (number % 2 == 1)
            if not is_quoted and (line_break := pieces[number].rfind(b"\n")) >= 0:
                found = start + line_break + 1
                break
            end = start - 1
        self._is_quoted ^= len(pieces) % 2 == 0
        return found
