import pytest

from app.auth.key_format import ApiKey
from app.logging import redact

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
    ],
)
def test_values_with_a_telling_name_are_blanked_out(name: str) -> None:
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
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_secrets_are_told_by_their_form_wherever_they_are(text: str, shown: str) -> None:
    event = {"event": text, "exception": text, "deep": {"list": [text, (text,)]}}
    assert redact(None, "info", event) == {"event": shown, "exception": shown, "deep": {"list": [shown, [shown]]}}


def test_secrets_are_found_below_the_surface() -> None:
    event = {"headers": {"Authorization": "x", "Accept": "y"}, "items": [{"password": "z"}]}
    assert redact(None, "info", event) == {
        "headers": {"Authorization": "[redacted]", "Accept": "y"},
        "items": [{"password": "[redacted]"}],
    }


def test_other_values_stay_as_they_are() -> None:
    event = {"event": "request", "status": 200, "duration_ms": 1.5, "path": None, "workflow_id": "tenant-creation-1"}
    assert redact(None, "info", event) == event
