"""The `Prefer` header (RFC 7240), of which `wait` is understood."""

import re
from collections.abc import Iterable
from urllib.request import parse_http_list

SECONDS = re.compile(r"[0-9]{1,18}")


def wait_preference(lines: Iterable[str], *, most: int) -> int | None:
    """Seconds to wait by the first `wait` in the header's lines, at most `most`; none without a sound one."""
    for preference in parse_http_list(", ".join(lines)):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == "wait":
            value = value.strip().strip('"')
            return min(int(value), most) if SECONDS.fullmatch(value) else None
    return None
