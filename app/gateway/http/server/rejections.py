"""Encodes responses to requests that never reach the application."""

from collections.abc import Iterable
from uuid import uuid4

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from app.gateway.http.problems.problem import MEDIA_TYPE, ProblemError
from app.gateway.http.request_context import REQUEST_ID_HEADER
from app.gateway.http.server.security_headers import raw_headers, security_headers


def encode_rejection(problem: ProblemError, scheme: str, default_headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the bytes of a response that ends its connection."""
    request_id = uuid4().hex
    # The path may be unknown. An empty reference means the requested address (RFC 3986, 4.4).
    body = problem.document(instance="", request_id=request_id).model_dump_json().encode()
    headers = {
        "Content-Type": MEDIA_TYPE,
        "Content-Length": str(len(body)),
        "Connection": "close",
        REQUEST_ID_HEADER: request_id,
        **problem.headers,
        **security_headers(scheme),
    }
    lines = [*default_headers, *raw_headers(headers)]
    return b"".join([STATUS_LINE[problem.status], *(b"%b: %b\r\n" % line for line in lines), b"\r\n", body])
