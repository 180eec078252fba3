"""Headers of every response that restrict what browsers and proxies do with it."""

from collections.abc import Mapping

RawHeaders = list[tuple[bytes, bytes]]

# Nothing in a document may run, load or be framed.
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": DATA_POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    # Status documents, requests and problems contain names and addresses of people.
    "Cache-Control": "no-store",
}
# Two years. Subdomains may belong to others.
STRICT_TRANSPORT = {"Strict-Transport-Security": "max-age=63072000"}


def security_headers(scheme: str) -> dict[str, str]:
    """Return the headers of a response, by the scheme of the request."""
    # RFC 6797 forbids it over plain HTTP, where anyone could have added it.
    return ALWAYS | STRICT_TRANSPORT if scheme == "https" else ALWAYS


def raw_headers(headers: Mapping[str, str]) -> RawHeaders:
    """Return headers in ASGI's form."""
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


_RAW = {scheme: raw_headers(security_headers(scheme)) for scheme in ("http", "https")}


def add_security_headers(headers: RawHeaders, scheme: str) -> None:
    """Add the headers that the response does not set itself. Names of raw headers are in lower case."""
    present = {name for name, _ in headers}
    headers += [header for header in _RAW["https" if scheme == "https" else "http"] if header[0] not in present]
