"""The page at /docs, with scripts of our own: where operators paste keys, no other server should have a say."""

from importlib.resources import files

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.staticfiles import StaticFiles
from starlette.requests import Request
from starlette.responses import HTMLResponse

PATH = "/docs"
ASSETS = f"{PATH}/assets"


def install_documentation_page(app: FastAPI) -> None:
    """Serve Swagger UI at /docs from the files of the package fastapi-offline."""
    app.mount(ASSETS, StaticFiles(directory=str(files("fastapi_offline") / "static")), name="documentation assets")

    @app.get(PATH, include_in_schema=False)
    async def documentation(request: Request) -> HTMLResponse:
        root = request.scope.get("root_path", "")
        return get_swagger_ui_html(
            openapi_url=f"{root}{app.openapi_url}",
            title=app.title,
            swagger_js_url=f"{root}{ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{root}{ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{root}{ASSETS}/favicon.png",
        )
