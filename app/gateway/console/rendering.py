"""Renders pages from the templates of this package."""

import json
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from app.gateway.console.assets import assets_path
from app.gateway.console.navigation import entries

PREFIX = "/console"
# Only our own files may run, style and load, and only our own forms be sent.
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action "
    "'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    # Other sites learn nothing. With `no-referrer` browsers would send `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
}
NONE = Markup('<span class="none">—</span>')
SEPARATORS, CAMEL = re.compile("[_.-]"), re.compile("(?<=[a-z0-9])[A-Z]")
PREDICATE = re.compile(r"(must|is|are|has|have|needs|can't)\b")
SPELLINGS = {"psa": "PSA", "algadesk": "AlgaDesk", "ai_assistant": "AI assistant"}
# HTML forbids control characters. The API refuses them, but Alga's own tables can hold them.
CONTROLS = dict.fromkeys({*range(32), *range(127, 160)} - {9, 10, 13}, "\N{REPLACEMENT CHARACTER}")
UNITS = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))


def _moment(value: datetime | None, *, seconds: bool = False) -> Markup:
    """Return a time of UTC, which a script shows in the reader's zone."""
    if value is None:
        return NONE
    precision = "seconds" if seconds else "minutes"
    shown = value.astimezone(UTC).replace(tzinfo=None).isoformat(" ", precision)
    return _time(value, f'data-show="{precision}"', shown)


def _countdown(value: datetime | None) -> Markup:
    """Return the time that is left, which a script counts down."""
    if value is None:
        return NONE
    return _time(value, "data-countdown", span(int((value - datetime.now(UTC)).total_seconds())))


def _time(value: datetime, attribute: str, shown: str) -> Markup:
    """Return the element of a time with the exact one in its title. No part of it needs to be escaped."""
    utc = value.astimezone(UTC)
    exact = utc.replace(tzinfo=None).isoformat(" ", "seconds")
    return Markup(  # noqa: S704 - digits, and texts of this module
        f'<time datetime="{utc.isoformat(timespec="milliseconds")}" {attribute} title="{exact} UTC">{shown}</time>'
    )


def span(value: timedelta | float) -> str:
    """Return a length of time by its two largest units."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if seconds < 1:
        return "now" if seconds <= 0 else f"{seconds * 1000:.0f} ms"
    if seconds < 10:  # noqa: PLR2004 - more digits than these are of no use
        return f"{seconds:.2g} s"
    parts: list[str] = []
    left = int(seconds)
    for unit, size in UNITS:
        count, left = divmod(left, size)
        if count or parts:
            parts.append(f"{count} {unit}")
    return " ".join(part for part in parts[:2] if not part.startswith("0 "))


def number(value: float) -> str:
    """Return a number with its thousands marked."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def words(value: object) -> str:
    """Return a name of the API's as words: `needs_attention` becomes `Needs attention`, `tenantId` `Tenant id`."""
    return _words(str(value))


@lru_cache(1000)
def _words(name: str) -> str:
    if (known := SPELLINGS.get(name)) is not None:
        return known
    return _capitalised(CAMEL.sub(lambda capital: f" {capital[0].lower()}", SEPARATORS.sub(" ", name)))


def _about(detail: str, label: str) -> str:
    """Return what is wrong with a field as a sentence: its name is added if the detail begins with a verb."""
    return f"{label} {detail}" if PREDICATE.match(detail) else _capitalised(detail)


def _sentence(text: str) -> str:
    """Return a detail of the API's as a sentence."""
    return _capitalised(text) if text.endswith((".", "!", "?", ":")) else f"{_capitalised(text)}."


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def options(names: Iterable[str]) -> list[tuple[str, str]]:
    """Return names of the API's as the options of a field."""
    return [(str(name), words(name)) for name in names]


def _without_controls(value: object) -> object:
    # Nearly every text is printable, which takes a tenth of the time to find out.
    return value.translate(CONTROLS) if isinstance(value, str) and not value.isprintable() else value


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("app.gateway.console"),
        autoescape=True,
        undefined=StrictUndefined,
        # Looking at the files for each page would take longer than rendering it.
        auto_reload=False,
        finalize=_without_controls,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "moment": _moment,
        "countdown": _countdown,
        "span": span,
        "words": words,
        "about": _about,
        "capitalised": _capitalised,
        "sentence": _sentence,
        "number": number,
        "pretty": lambda value: json.dumps(value, indent=2, ensure_ascii=False),
        "part": lambda value: quote(str(value), safe=""),
    }
    return environment


_TEMPLATES = _environment()


def url_of(request: Request, path: str = "") -> str:
    """Return the address of a page of the console."""
    return f"{request.scope.get('root_path', '')}{PREFIX}{path}"


def render(request: Request, template: str, **context: Any) -> str:
    """Return a template's text. Every value in it is escaped."""
    caller = getattr(request.state, "caller", None)

    def url(path: str = "") -> str:
        return url_of(request, path)

    may: Callable[[str], bool] = lambda scope: caller is not None and scope in caller.scopes  # noqa: E731
    return _TEMPLATES.get_template(template).render(
        context,
        caller=caller,
        entries=entries(caller),
        here=request.url.path,
        may=may,
        url=url,
        asset=lambda name: url(f"{assets_path()}/{name}"),
    )


def fragment(template: str, **context: Any) -> Markup:
    """Return the text of a template that needs nothing of a request."""
    return Markup(_TEMPLATES.get_template(template).render(context))  # noqa: S704 - the template has escaped all values


def page(request: Request, template: str, status: int = 200, **context: Any) -> Response:
    """Return a page."""
    return html(render(request, template, **context), status)


def html(text: str, status: int = 200) -> Response:
    """Return a page that was rendered."""
    return HTMLResponse(text, status, HEADERS)


def see_other(request: Request, path: str = "") -> Response:
    """Return a redirect to a page of the console, after a form was accepted."""
    return RedirectResponse(url_of(request, path), 303)
