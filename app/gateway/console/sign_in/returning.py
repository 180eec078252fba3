"""Where a person goes after signing in."""

from urllib.parse import quote, urlsplit

from starlette.requests import Request

SIGN_IN = "/sign-in"
# Paths of the console, with a query. A cookie has to hold one.
MAX_LENGTH = 1500


def sign_in_path(request: Request) -> str:
    """Return the path of the sign-in that leads back to the page of a request."""
    if request.method != "GET":
        return SIGN_IN
    path = request.scope["raw_path"].decode("ascii").partition("/console")[2]
    query = f"?{request.url.query}" if request.url.query else ""
    return f"{SIGN_IN}?next={quote(path + query, safe='/')}" if path else SIGN_IN


def safe_path(wanted: str) -> str:
    """Return the path of a page of the console, or an empty one for what leads elsewhere."""
    parts = urlsplit(wanted)
    is_ours = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and not (parts.scheme or parts.netloc)
    return wanted if is_ours and len(wanted) <= MAX_LENGTH and wanted.isascii() and wanted.isprintable() else ""
