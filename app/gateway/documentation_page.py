"""The page at /docs, with scripts of our own: where operators paste keys, no other server should have a say."""

import base64
import hashlib
import re
from importlib.resources import files

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.staticfiles import StaticFiles
from starlette.requests import Request
from starlette.responses import HTMLResponse

PATH = "/docs"
ASSETS = f"{PATH}/assets"
# Swagger UI sets styles as it goes, and has pictures in its style sheet.
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self' 'sha256-{script}'; style-src 'self' 'unsafe-inline'; img-src 'self' "
    "data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
INLINE_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


def install_documentation_page(app: FastAPI) -> None:
    """Serve Swagger UI at /docs from the files of the package fastapi-offline."""
    app.mount(ASSETS, StaticFiles(directory=str(files("fastapi_offline") / "static")), name="documentation assets")

    @app.get(PATH, include_in_schema=False)
    async def documentation(request: Request) -> HTMLResponse:
        root = request.scope.get("root_path", "")
        page = get_swagger_ui_html(
            openapi_url=f"{root}{app.openapi_url}",
            title=app.title,
            swagger_js_url=f"{root}{ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{root}{ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{root}{ASSETS}/favicon.png",
        )
        (script,) = INLINE_SCRIPT.findall(bytes(page.body))
        digest = base64.b64encode(hashlib.sha256(script).digest()).decode()
        page.headers["Content-Security-Policy"] = CONTENT_POLICY.format(script=digest)
        return page
