"""Paths of fields in a body, as problems show them."""

from collections.abc import Sequence

WHOLE_BODY = "body"
MAX_PATH_LENGTH = 200


def shown_path(parts: Sequence[str]) -> str:
    """The path with dots, cut, and without what can't be printed."""
    shown = ".".join(parts)
    cut = shown[:MAX_PATH_LENGTH] + ("…" if len(shown) > MAX_PATH_LENGTH else "")
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in cut) or WHOLE_BODY
