"""The page at /docs and the OpenAPI document that it shows.

Operators paste keys into the page, so all its scripts come from the gateway. Requests are limited by address,
because they need no credential.
"""

import base64
import hashlib
import json
import re
from functools import cache
from importlib.resources import files

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.staticfiles import StaticFiles
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from app.gateway.access.anonymous_requests import LimitedByAddress, check_anonymous
from app.gateway.http.parameters import if_none_match_lines
from app.gateway.http.responses import entity_tag, is_known

PATH = "/docs"
OPENAPI_PATH = "/openapi.json"
ASSETS = f"{PATH}/assets"
# Swagger UI sets inline styles and has images in its style sheet.
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self' 'sha256-{script}'; style-src 'self' 'unsafe-inline'; img-src 'self' "
    "data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
INLINE_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


def install_documentation_page(app: FastAPI) -> None:
    """Serve Swagger UI at /docs from the files of the package fastapi-offline."""
    assets = StaticFiles(directory=str(files("fastapi_offline") / "static"))
    app.mount(ASSETS, LimitedByAddress(assets), name="documentation assets")

    @cache
    def document() -> tuple[bytes, str]:
        body = json.dumps(app.openapi(), ensure_ascii=False, separators=(",", ":")).encode()
        return body, f'"{entity_tag(body)}"'

    @app.get(OPENAPI_PATH, include_in_schema=False)
    async def openapi(request: Request) -> Response:
        await check_anonymous(request)
        body, etag = document()
        if is_known(etag, if_none_match_lines(request)):
            return Response(status_code=304, headers={"ETag": etag})
        return Response(body, headers={"ETag": etag}, media_type="application/json")

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
            # Until the page's "Logout", in the storage of the browser, which only scripts of this origin can read.
            swagger_ui_parameters={"persistAuthorization": True},
        )
        (script,) = INLINE_SCRIPT.findall(bytes(page.body))
        digest = base64.b64encode(hashlib.sha256(script).digest()).decode()
        page.headers["Content-Security-Policy"] = CONTENT_POLICY.format(script=digest)
        return page
