"""A gateway on a real port, run by a thread of the test process."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

import httpx
from fastapi import FastAPI

from app.gateway.server import GatewayServer
from app.settings import Settings
from tests.support.servers.processes import wait_for

PATIENCE = 30.0


class RunningGateway:
    """Serves while its block runs. `prepare` may extend the application."""

    def __init__(self, settings: Settings, api_key: str, prepare: Callable[[FastAPI], None] | None = None) -> None:
        self.api_key = api_key
        self._server = GatewayServer(settings)
        # uvloop crashes if another thread collects its objects. Tests with gateway processes use it.
        self._server.config.loop = "asyncio"
        if prepare is not None:
            prepare(self._server.app)
        self._thread = threading.Thread(target=self._server.run, name="gateway")

    def __enter__(self) -> Self:
        self._thread.start()
        wait_for(lambda: self._server.started or not self._thread.is_alive())
        if not self._server.started:
            raise RuntimeError("the gateway did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def app(self) -> FastAPI:
        return self._server.app

    @property
    def requests_in_progress(self) -> int:
        """Number of requests in progress."""
        return len(self._server.server_state.tasks)

    @property
    def url(self) -> str:
        port = self._server.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}"

    def call_soon(self, function: Callable[[], object]) -> None:
        """Call the function in the server's event loop."""
        self._server.servers[0].get_loop().call_soon_threadsafe(function)

    def stop(self) -> None:
        """Stop as SIGTERM does."""
        self._server.should_exit = True
        self._thread.join()

    def client(self, **headers: str) -> httpx.AsyncClient:
        """Return a client with these headers, by default with the API key."""
        return httpx.AsyncClient(
            base_url=self.url, timeout=PATIENCE, headers=headers or {"Authorization": f"Bearer {self.api_key}"}
        )


def environment_of(settings: Settings) -> dict[str, str]:
    """Return the settings as environment variables."""
    return {
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "ADMIN_DATABASE_URL": settings.admin_database_url.get_secret_value(),
        "NEXTAUTH_SECRET": settings.nextauth_secret.get_secret_value(),
        "TEMPORAL_ADDRESS": settings.temporal_address,
        "TEMPORAL_TASK_QUEUE": settings.temporal_task_queue,
        "GATEWAY_HOST": settings.gateway_host,
    }
