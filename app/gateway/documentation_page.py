"""The page at /docs, with scripts of our own: where operators paste keys, no other server should have a say.

Beside it the OpenAPI document that it shows. Both need no credential, so that they are limited by address.
"""

import base64
import hashlib
import json
import re
from importlib.resources import files

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.staticfiles import StaticFiles
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from app.gateway.access.anonymous_requests import LimitedByAddress, check_anonymous
from app.gateway.http.responses import entity_tag, is_known

PATH = "/docs"
OPENAPI_PATH = "/openapi.json"
ASSETS = f"{PATH}/assets"
# Swagger UI sets styles as it goes, and has pictures in its style sheet.
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self' 'sha256-{script}'; style-src 'self' 'unsafe-inline'; img-src 'self' "
    "data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
INLINE_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


def install_documentation_page(app: FastAPI) -> None:
    """Serve Swagger UI at /docs from the files of the package fastapi-offline."""
    assets = StaticFiles(directory=str(files("fastapi_offline") / "static"))
    app.mount(ASSETS, LimitedByAddress(assets), name="documentation assets")
    document = _OpenApiDocument(app)

    @app.get(OPENAPI_PATH, include_in_schema=False)
    async def openapi(request: Request) -> Response:
        await check_anonymous(request)
        return document.response(request)

    @app.get(PATH, include_in_schema=False)
    async def documentation(request: Request) -> HTMLResponse:
        await check_anonymous(request)
        root = request.scope.get("root_path", "")
        page = get_swagger_ui_html(
            openapi_url=f"{root}{OPENAPI_PATH}",
            title=app.title,
            swagger_js_url=f"{root}{ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{root}{ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{root}{ASSETS}/favicon.png",
        )
        (script,) = INLINE_SCRIPT.findall(bytes(page.body))
        digest = base64.b64encode(hashlib.sha256(script).digest()).decode()
        page.headers["Content-Security-Policy"] = CONTENT_POLICY.format(script=digest)
        return page


class _OpenApiDocument:
    """The OpenAPI document as it is sent, which is encoded once."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._body = b""
        self._headers: dict[str, str] = {}

    def response(self, request: Request) -> Response:
        """200, or 304 if the client has this very document."""
        if not self._body:
            self._body = json.dumps(self._app.openapi(), ensure_ascii=False, separators=(",", ":")).encode()
            self._headers = {"ETag": f'"{entity_tag(self._body)}"'}
        if is_known(self._headers["ETag"], request.headers.getlist("if-none-match")):
            return Response(status_code=304, headers=self._headers)
        return Response(self._body, headers=self._headers, media_type="application/json")
