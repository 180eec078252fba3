"""What the application does before it serves."""

from typing import Any

import pytest
from pydantic import TypeAdapter

from app.gateway.app import create_app
from app.settings import Settings


def test_the_first_request_builds_no_validators(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    app = create_app(settings)
    built: list[Any] = []
    build = TypeAdapter.__init__

    def record(adapter: TypeAdapter[Any], *arguments: Any, **options: Any) -> None:
        built.append(arguments)
        build(adapter, *arguments, **options)

    monkeypatch.setattr(TypeAdapter, "__init__", record)
    scope = {"type": "http", "method": "POST", "path": "/tenants", "root_path": "", "headers": []}
    matches = [route.matches(dict(scope))[0].name for route in app.router.routes]
    assert "FULL" in matches
    assert not built
