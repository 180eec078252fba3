"""The console's style sheet and scripts. Their addresses change with their content, so browsers keep them."""

import hashlib
from functools import cache
from importlib.resources import files
from typing import Annotated

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from app.gateway.access.anonymous_requests import check_anonymous
from app.gateway.http.problems.request_problems import PathNotFoundError

TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
KEPT = {"Cache-Control": "public, max-age=31536000, immutable"}

router = APIRouter(prefix="/console", include_in_schema=False)


@cache
def _assets() -> dict[str, bytes]:
    folder = files("app.gateway.console") / "static"
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir(), key=lambda file: file.name)}


@cache
def assets_path() -> str:
    """Return the path of the files in the console, with a digest of all of them: scripts import each other."""
    digest = hashlib.sha256(b"".join(_assets().values())).hexdigest()[:16]
    return f"/assets/{digest}"


@router.get("/assets/{version}/{name}")
async def read_asset(request: Request, version: Annotated[str, Path()], name: Annotated[str, Path()]) -> Response:
    """Return a file, also by the address of another release, which browsers then don't keep."""
    content = _assets().get(name)
    if content is None:
        await check_anonymous(request)
        raise PathNotFoundError
    headers = KEPT if assets_path().endswith(version) else None
    return Response(content, headers=headers, media_type=TYPES[name.rpartition(".")[2]])
