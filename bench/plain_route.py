"""`python -m bench.plain_route`: the floor of a status poll, a bare FastAPI route behind the product's keys."""

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, HTTPException, Request
from pydantic import SecretStr

from app.auth.authenticator import Authenticator
from app.auth.keys.api_keys import ApiKeys
from app.auth.keys.signing import api_key_signer
from app.database import gateway_engine
from app.embedded.processes.ports import LOOPBACK
from app.settings import Settings


def create_app(settings: Settings, document: Any) -> FastAPI:
    """Return an application that serves one document to callers with a key."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        engine = gateway_engine(settings)
        keys = ApiKeys(engine, api_key_signer(settings))
        app.state.authenticator = Authenticator(keys)
        yield
        keys.close()
        await engine.dispose()

    app = FastAPI(lifespan=lifespan)

    @app.get("/document")
    async def serve_document(request: Request) -> Any:
        if await request.app.state.authenticator.authenticate(request.headers) is None:
            raise HTTPException(401)
        return document

    @app.get("/readyz")
    async def ready() -> None:
        return None

    return app


def main(port: str, file: str) -> None:
    """Serve the document in the file on that port until stopped."""
    settings = Settings.load(
        environment="production",
        database_url=SecretStr(os.environ["DATABASE_URL"]),
        admin_database_url=SecretStr(os.environ["ADMIN_DATABASE_URL"]),
        nextauth_secret=SecretStr(os.environ["NEXTAUTH_SECRET"]),
    )
    app = create_app(settings, json.loads(Path(file).read_text()))
    uvicorn.run(app, host=LOOPBACK, port=int(port), http="httptools", access_log=False, log_level="warning")


if __name__ == "__main__":
    main(*sys.argv[1:])
