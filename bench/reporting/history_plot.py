"""Draws the history of whole runs: a small chart for each key figure, and one of the processor time by process."""

from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from bench.reporting.history import MEDIANS, RATIOS, Entry, series

FILE = "history.png"
WIDTH, HEIGHT, COLUMNS, MARGIN, TITLE = 400, 170, 3, 16, 34
TEXT_SIZE, SMALL = 14, 12
BACKGROUND, INK, PALE, LINE, LIMIT = "white", "#202124", "#dadce0", "#1a56db", "#c5221f"
PROCESSES = ("processor.worker", "processor.gateway", "processor.postgres", "processor.temporal")
SHADES = ("#1a56db", "#12805c", "#b45309", "#7e57c2")
DOT = 4

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


class _Panel:
    """A part of the picture with its scale: places of runs to the right, values upwards from 0."""

    def __init__(self, canvas: ImageDraw.ImageDraw, number: int, runs: int, maximum: float) -> None:
        self.canvas = canvas
        self.left = MARGIN + (number % COLUMNS) * (WIDTH + MARGIN)
        self.top = TITLE + MARGIN + (number // COLUMNS) * (HEIGHT + MARGIN)
        self._runs, self._maximum = runs, maximum * 1.1 or 1.0
        self._floor = self.top + HEIGHT - 22
        self._room = HEIGHT - 50
        canvas.line([(self.left, self._floor), (self.left + WIDTH - 8, self._floor)], PALE)

    def at(self, place: float, value: float) -> tuple[float, float]:
        """Return the point of a value."""
        step = (WIDTH - 90) / max(self._runs - 1, 1)
        return self.left + 14 + place * step, self._floor - value / self._maximum * self._room

    def text(self, text: str, font: Font, colour: str = INK) -> None:
        """Write the panel's title."""
        self.canvas.text((self.left, self.top), text, colour, font)

    def dates(self, entries: Sequence[Entry], font: Font) -> None:
        """Write the first and the last date below."""
        for place, entry in {0: entries[0], len(entries) - 1: entries[-1]}.items():
            x, y = self.at(place, 0)
            self.canvas.text((x - 8, y + 4), f"{entry.date[5:10]} {entry.commit}", INK, font)


def draw_history(entries: Sequence[Entry], file: Path) -> None:
    """Write a PNG of the runs, oldest first, whose figures are the medians and ratios of each."""
    plain = [name for name in MEDIANS if name not in PROCESSES]
    panels = len(RATIOS) + len(plain) + 1
    rows = -(-panels // COLUMNS)
    size = (MARGIN + COLUMNS * (WIDTH + MARGIN), TITLE + MARGIN + rows * (HEIGHT + MARGIN))
    image = Image.new("RGB", size, BACKGROUND)
    canvas = ImageDraw.Draw(image)
    font, small = ImageFont.load_default(TEXT_SIZE), ImageFont.load_default(SMALL)
    machines = sorted({entry.cores for entry in entries})
    title = f"alga-tenants: whole runs on {' and '.join(map(str, machines))} cores; red is the limit of a ratio"
    canvas.text((MARGIN, MARGIN), title, INK, font)
    number = 0
    for ratio in RATIOS:
        values = series(entries, ratio.name, is_ratio=True)
        panel = _Panel(canvas, number, len(entries), max([ratio.limit, *(value for _, value in values)]))
        limit = [panel.at(0, ratio.limit), panel.at(len(entries) - 1, ratio.limit)]
        canvas.line(limit, LIMIT, 1)
        panel.text(f"{ratio.label} (limit {ratio.limit:g})", font)
        _draw_line(panel, values, lambda value: f"{value:.2f} x", small)
        panel.dates(entries, small)
        number += 1
    for name in plain:
        values = series(entries, name, is_ratio=False)
        panel = _Panel(canvas, number, len(entries), max([0.0, *(value for _, value in values)]))
        panel.text(MEDIANS[name], font)
        _draw_line(panel, values, lambda value: f"{value:,.1f}", small)
        panel.dates(entries, small)
        number += 1
    _draw_processors(canvas, number, entries, font, small)
    image.save(file)


def _draw_line(panel: _Panel, values: Sequence[tuple[int, float]], shown: Callable[[float], str], font: Font) -> None:
    points = [panel.at(place, value) for place, value in values]
    if len(points) > 1:
        panel.canvas.line(points, LINE, 2)
    for x, y in points:
        panel.canvas.ellipse([x - DOT, y - DOT, x + DOT, y + DOT], fill=LINE)
    if values:
        x, y = points[-1]
        panel.canvas.text((x + DOT + 4, y - 8), shown(values[-1][1]), LINE, font)


def _draw_processors(
    canvas: ImageDraw.ImageDraw, number: int, entries: Sequence[Entry], font: Font, small: Font
) -> None:
    """Draw a column for each run, of a part for each process."""
    totals = [sum(entry.medians.get(name, 0.0) for name in PROCESSES) for entry in entries]
    panel = _Panel(canvas, number, len(entries), max(totals))
    panel.text("processor time a tenant, ms:", font)
    left = panel.left + canvas.textlength("processor time a tenant, ms:  ", font)
    for name, shade in zip(PROCESSES, SHADES, strict=True):
        canvas.text((left, panel.top + 2), MEDIANS[name], shade, small)
        left += canvas.textlength(f"{MEDIANS[name]}  ", small)
    for place, entry in enumerate(entries):
        below = 0.0
        for name, shade in zip(PROCESSES, SHADES, strict=True):
            value = entry.medians.get(name, 0.0)
            x, bottom = panel.at(place, below)
            _, top = panel.at(place, below + value)
            canvas.rectangle([x - 8, top, x + 8, bottom], fill=shade)
            below += value
        if below:
            canvas.text((x + 12, top - 2), f"{below:.0f}", INK, small)
    panel.dates(entries, small)
