"""What every answer tells browsers and proxies, also those that no route has made."""

from collections.abc import Mapping

# Documents are data: nothing in them may run, load or be framed.
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"

ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": DATA_POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    # Status documents, requests and problems hold names and addresses of people.
    "Cache-Control": "no-store",
}
# Two years. Subdomains are not ours to speak for.
STRICT_TRANSPORT = {"Strict-Transport-Security": "max-age=63072000"}


RawHeaders = list[tuple[bytes, bytes]]


def security_headers(scheme: str) -> dict[str, str]:
    """The headers of an answer to a request that came by this scheme, as trusted proxies say."""
    # RFC 6797: not over plain HTTP, where anybody could have set it.
    return ALWAYS | STRICT_TRANSPORT if scheme == "https" else ALWAYS


def raw_headers(headers: Mapping[str, str]) -> RawHeaders:
    """Headers as ASGI has them."""
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


_RAW = {True: raw_headers(security_headers("https")), False: raw_headers(security_headers("http"))}


def add_security_headers(headers: RawHeaders, scheme: str) -> None:
    """Add those that the answer has not set itself; names of raw headers are in lower case."""
    present = {name for name, _ in headers}
    headers += [header for header in _RAW[scheme == "https"] if header[0] not in present]
