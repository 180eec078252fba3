"""Draws the bars as a picture that shows how far each is from its limit."""

import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from bench.reporting.verdicts import Verdict

WIDTH, ROW, LEFT, RIGHT, MARGIN = 1180, 34, 470, 190, 16
TEXT_SIZE = 15
BACKGROUND, INK, PALE = "white", "#202124", "#dadce0"
COLOURS = {"ok": "#188038", "missed": "#c5221f"}
# Where the limit is drawn, as a share of the width for bars.
LIMIT_AT = 0.4


def draw(verdicts: Sequence[Verdict], title: str, file: Path) -> None:
    """Write a PNG with a bar for each measured verdict, as long as the figure's share of the limit."""
    measured = [verdict for verdict in verdicts if verdict.value is not None]
    height = MARGIN * 2 + ROW * (len(measured) + 1)
    image = Image.new("RGB", (WIDTH, height), BACKGROUND)
    canvas = ImageDraw.Draw(image)
    font = ImageFont.load_default(TEXT_SIZE)
    canvas.text((MARGIN, MARGIN), title, INK, font)
    limit_x = LEFT + (WIDTH - LEFT - RIGHT) * LIMIT_AT
    for number, verdict in enumerate(measured, start=1):
        top = MARGIN + ROW * number
        _row(canvas, font, verdict, top)
    canvas.line([(limit_x, MARGIN + ROW - 4), (limit_x, height - MARGIN)], INK, 2)
    image.save(file)


def share_of_limit(verdict: Verdict) -> float:
    """Return the figure as a share of its limit, capped at the picture's edge."""
    if verdict.value is None or not math.isfinite(verdict.value):
        return 0.0
    return min(max(verdict.value / verdict.bar.limit, 0.0), 1 / LIMIT_AT)


def _row(
    canvas: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, verdict: Verdict, top: int
) -> None:
    room = (WIDTH - LEFT - RIGHT) * LIMIT_AT
    right = LEFT + room * share_of_limit(verdict)
    canvas.text((MARGIN, top + 6), verdict.bar.text, INK, font)
    canvas.rectangle([LEFT, top + 4, WIDTH - RIGHT, top + ROW - 6], outline=PALE)
    canvas.rectangle([LEFT, top + 4, max(LEFT, right), top + ROW - 6], fill=COLOURS[verdict.word])
    bar = verdict.bar
    value = f"{verdict.value:.2f} {bar.unit} ({bar.kind} {bar.limit:g})"
    canvas.text((WIDTH - RIGHT + 8, top + 6), value, INK, font)
