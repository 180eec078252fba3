"""Tables that fit the terminal: a column leaves before an id is cut, and nothing is cut or wrapped in a pipe."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from rich.console import Console
from rich.text import Text

from app.cli.console import visible

GAP = "  "
Cell = Text | str | None


@dataclass(frozen=True)
class Column:
    """A column, and what becomes of it on a narrow terminal.

    `least` is the width down to which its cells are cut; without it they are never cut. Columns with the highest
    `leaves` are left out first, and those without one stay. If the rest does not fit, columns with a `below` get
    lines of their own below the row, the lowest number first. `is_prose` wraps its cells instead of cutting them.
    """

    title: str
    least: int | None = None
    leaves: int = 0
    below: int = 0
    is_prose: bool = False
    justify: Literal["left", "right"] = "left"


@dataclass(frozen=True)
class _Placed:
    """A column of the layout, with its position in the rows and its width in cells."""

    column: Column
    position: int
    natural: int
    width: int

    @property
    def least(self) -> int:
        least = self.column.least
        return self.natural if least is None else min(self.natural, max(least, len(self.column.title)))


def print_table(console: Console, columns: Sequence[Column], rows: Iterable[Iterable[Cell]]) -> None:
    """Print a table with a header; columns without a value are left out on a terminal."""
    cells = [[_text(cell) for cell in row] for row in rows]
    placed = [
        _Placed(column, position, natural, natural)
        for position, column in enumerate(columns)
        for natural in [max([len(column.title), *(row[position].cell_len for row in cells)])]
    ]
    if not console.is_terminal:
        _print_lines(console, placed, (), cells)
        return
    filled = [one for one in placed if not cells or any(row[one.position].plain for row in cells)]
    beside, below = _fit(filled, console.width)
    _print_lines(console, beside, below, cells)


def _text(cell: Cell) -> Text:
    return cell if isinstance(cell, Text) else Text(visible(cell or ""))


def _fit(placed: Sequence[_Placed], room: int) -> tuple[list[_Placed], list[_Placed]]:
    """Return the columns beside each other, with widths that fit, and those below."""
    levels = sorted({one.column.below for one in placed if one.column.below})
    for level in (0, *levels):
        beside = [one for one in placed if not 0 < one.column.below <= level]
        below = [one for one in placed if 0 < one.column.below <= level]
        # Below a row is room enough, so columns that left come back.
        for leaving in (None, *sorted({one.column.leaves for one in beside if one.column.leaves}, reverse=True)):
            kept = [one for one in beside if leaving is None or one.column.leaves < leaving]
            if kept and _width(one.least for one in kept) <= room:
                return _widened(kept, room), below
    # Narrower than anything that we know: the last layout, in which long cells run over the edge.
    return [replace(one, width=one.least) for one in kept], below


def _widened(kept: Sequence[_Placed], room: int) -> list[_Placed]:
    """Share the room that is left among the columns whose cells would be cut."""
    left = room - _width(one.least for one in kept)
    widths = {one.position: one.least for one in kept}
    wanting = sorted((one for one in kept if one.natural > one.least), key=lambda one: one.natural - one.least)
    for others, one in zip(reversed(range(len(wanting))), wanting, strict=True):
        more = min(left // (others + 1), one.natural - one.least)
        widths[one.position] += more
        left -= more
    return [replace(one, width=widths[one.position]) for one in kept]


def _width(widths: Iterable[int]) -> int:
    found = list(widths)
    return sum(found) + len(GAP) * (len(found) - 1)


def _print_lines(
    console: Console, beside: Sequence[_Placed], below: Sequence[_Placed], rows: Sequence[Sequence[Text]]
) -> None:
    _print_line(console, [Text(one.column.title, "bold") for one in beside], beside)
    for one in below:
        _print(console, Text(f"{GAP}{one.column.title}", "bold"))
    for row in rows:
        columns = [list(_lines(console, row[one.position], one)) for one in beside]
        for number in range(max(map(len, columns), default=0)):
            _print_line(console, [lines[number] if number < len(lines) else Text() for lines in columns], beside)
        for one in below:
            for line in _wrapped(console, row[one.position], console.width - len(GAP)):
                _print(console, Text(GAP) + line)


def _lines(console: Console, cell: Text, placed: _Placed) -> Iterator[Text]:
    if placed.column.is_prose and cell.cell_len > placed.width:
        yield from _wrapped(console, cell, placed.width)
        return
    line = cell.copy()
    if placed.column.least is not None or cell.cell_len > placed.width:
        line.truncate(placed.width, overflow="ellipsis")
    yield line


def _wrapped(console: Console, cell: Text, width: int) -> Iterator[Text]:
    if cell.plain:
        for line in cell.wrap(console, max(1, width), overflow="fold"):
            line.rstrip()
            yield line


def _print_line(console: Console, cells: Sequence[Text], beside: Sequence[_Placed]) -> None:
    line = Text()
    for cell, one in zip(cells, beside, strict=True):
        padding = " " * max(0, one.width - cell.cell_len)
        parts = (padding, cell) if one.column.justify == "right" else (cell, padding)
        line = Text.assemble(line, GAP if one is not beside[0] else "", *parts)
    line.rstrip()
    _print(console, line)


def _print(console: Console, line: Text) -> None:
    # Without a width of its own, Rich neither wraps nor cuts.
    console.print(line, soft_wrap=True)
