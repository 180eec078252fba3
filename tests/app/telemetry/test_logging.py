import io
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from app.auth.keys.format import ApiKey
from app.settings import TemporalSettings
from app.telemetry.logging import configure_logging, redact

JWT = f"{'eyJhbGciOiJIUzI1NiJ9'}.{'eyJzdWIiOiJhZGEifQ'}.{'c2lnbmF0dXJl'}"
KEY = ApiKey("0Aa1Bb2Cc3Dd", "Secret0Aa1Bb2Cc3Dd4Ee5Ff6Gg7Hh8Ii9Jj0KkLlMm").text


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "admin_password",
        "passwordHash",
        "NEXTAUTH_SECRET",
        "Authorization",
        "x-api-key",
        "api_key",
        "token",
        "refreshToken",
        "Set-Cookie",
        "client_secret",
        "passphrase",
        "sentry_dsn",
        "DATABASE_URL",
        "email",
        "firstName",
        "last_name",
        "phone",
    ],
)
def test_values_with_sensitive_names_are_redacted(name: str) -> None:
    assert redact(None, "info", {"event": "x", name: "value"}) == {"event": "x", name: "[redacted]"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"refused {KEY}.", "refused [redacted]."),
        ("refused eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.c2ln.", "refused [redacted]."),
        ("postgresql://ada:s3cret@db:5432/alga", "postgresql://ada:[redacted]@db:5432/alga"),
        ("to postgresql+asyncpg://ada:a:b%40@db/alga now", "to postgresql+asyncpg://ada:[redacted]@db/alga now"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer [redacted]"),
        ("postgresql://ada@db/alga", "postgresql://ada@db/alga"),
        ("postgresql://ada@db.example/alga", "postgresql://ada@db.example/alga"),
        ("postgresql://ada:a/b@db/alga", "postgresql://ada:[redacted]@db/alga"),
        ("redis://:s3cret@cache:6379/0", "redis://:[redacted]@cache:6379/0"),
        ("https://ada:p@ss@example.com/x?to=y", "https://ada:[redacted]@example.com/x?to=y"),
        ("GET http://127.0.0.1:8000/tenants 200", "GET http://127.0.0.1:8000/tenants 200"),
        ("authorization: Basic YWRhOmJ5cm9u", "authorization: Basic [redacted]"),
        (f"token {JWT}!", "token [redacted]!"),
        ("host=db user=ada password=s3cret port=5432", "host=db user=ada password=[redacted] port=5432"),
        ("?sslmode=require&sslpassword=s3cret&x=1", "?sslmode=require&sslpassword=[redacted]&x=1"),
        ("User(id=1, password='it\\'s, s3cret', x=2)", "User(id=1, password=[redacted], x=2)"),
        ('{"adminPassword": "a \\"b\\" c", "x": 1}', '{"adminPassword": [redacted], "x": 1}'),
        ("{'api_key': b'abc', 'x': 1}", "{'api_key': [redacted], 'x': 1}"),
        ("AUDIT_SECRET=abc", "AUDIT_SECRET=[redacted]"),
        ("password=None", "password=None"),
        ("the password is wrong", "the password is wrong"),
        ("written to ada.byron+x@acme.example.", "written to [redacted]."),
        ("firstName='Ada' step='x'", "firstName=[redacted] step='x'"),
        ("duplicate key\nDETAIL:  Key (email)=(ada) exists.\nHINT: x", "duplicate key\nDETAIL: [redacted]\nHINT: x"),
        (f"-----BEGIN {'PRIVATE'} KEY-----\nMIIB\n-----END", f"-----BEGIN {'PRIVATE'} KEY-----[redacted]-----END"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_secrets_are_recognized_by_their_form(text: str, shown: str) -> None:
    event = {"event": text, "exception": text, "deep": {"list": [text, (text,)]}}
    assert redact(None, "info", event) == {"event": shown, "exception": shown, "deep": {"list": [shown, [shown]]}}


def test_nested_secrets_are_redacted() -> None:
    event = {"headers": {"Authorization": "x", "Accept": "y"}, "items": [{"password": "z"}]}
    assert redact(None, "info", event) == {
        "headers": {"Authorization": "[redacted]", "Accept": "y"},
        "items": [{"password": "[redacted]"}],
    }


def test_values_outside_json_are_logged_as_redacted_text() -> None:
    event = {"password": 5, "when": date(2026, 1, 2), "given": SecretStr("x"), "error": ValueError("password=abc")}
    assert redact(None, "info", dict(event)) == {
        "password": 5,
        "when": "2026-01-02",
        "given": "[redacted]",
        "error": "password=[redacted]",
    }


def test_values_that_are_too_deep_are_omitted() -> None:
    deep: dict[str, Any] = {}
    inner = deep
    for _ in range(50):
        inner["x"] = {}
        inner = inner["x"]
    inner["secret"] = "s3cret"
    assert "s3cret" not in str(redact(None, "info", {"event": deep}))
    assert "…" in str(redact(None, "info", {"event": deep}))


def test_other_values_are_unchanged() -> None:
    event = {"event": "request", "status": 200, "duration_ms": 1.5, "path": None, "workflow_id": "tenant-creation-1"}
    assert redact(None, "info", event) == event


class Unprintable:
    def __str__(self) -> str:
        raise ZeroDivisionError


def test_a_line_that_cannot_be_written_fails_no_caller(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.TextIOWrapper(io.BytesIO())
    configure_logging(TemporalSettings(), stream)
    stream.close()
    for log in (structlog.get_logger("tests"), logging.getLogger("tests")):
        log.error("lost line")
        assert "closed file" in capsys.readouterr().err


def test_a_line_that_cannot_be_rendered_fails_no_caller(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(TemporalSettings())
    structlog.get_logger("tests").error("unprintable", value=Unprintable())
    logging.getLogger("tests").error("unprintable", extra={"value": Unprintable()})
    assert capsys.readouterr().err.count("\nZeroDivisionError") == 2


def test_invalid_unicode_is_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    for environment in ("production", "development"):
        configure_logging(TemporalSettings.load(environment=environment))
        structlog.get_logger("tests").error("half a \ud800 pair")
        assert "half a \\ud800 pair" in capsys.readouterr().out


def test_lines_of_threads_and_libraries_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "log"

    def write(log: Any) -> None:
        for _ in range(50):
            log.info("x" * 20_000)

    with path.open("w") as stream:
        configure_logging(TemporalSettings(), stream)
        with ThreadPoolExecutor() as pool:
            list(pool.map(write, [structlog.get_logger("tests"), logging.getLogger("tests")] * 2))
    lines = path.read_text().splitlines()
    assert [len(json.loads(line)["message"]) for line in lines] == [20_000] * 200


@pytest.mark.parametrize(("level", "shown"), [("info", ["informing"]), ("debug", ["debugging", "informing"])])
def test_the_level_is_honoured(level: str, shown: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(TemporalSettings.load(log_level=level))
    log = structlog.get_logger("tests")
    log.debug("debugging")
    log.info("informing")
    assert [json.loads(line)["message"] for line in capsys.readouterr().out.splitlines()] == shown
