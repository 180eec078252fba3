"""What every answer tells browsers and proxies, also those that no route has made."""

from starlette.datastructures import MutableHeaders

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


def security_headers(scheme: str) -> dict[str, str]:
    """The headers of an answer to a request that came by this scheme, as trusted proxies say."""
    # RFC 6797: not over plain HTTP, where anybody could have set it.
    return ALWAYS | STRICT_TRANSPORT if scheme == "https" else ALWAYS


def add_security_headers(headers: MutableHeaders, scheme: str) -> None:
    """Add those that the answer has not set itself."""
    for name, value in security_headers(scheme).items():
        headers.setdefault(name, value)
