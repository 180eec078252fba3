"""No published file has the form of a secret, which scanners would report and people would copy."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.auth.keys.format import KEY_PATTERN, ApiKey
from app.gateway.app import create_app
from app.settings import Settings

ROOT = Path(__file__).parents[2]
FOLDERS = ("app", "activities", "workflows", "migrations", "docs", "helm", "scripts", "tests", ".ci")
SUFFIXES = {"", ".py", ".md", ".yaml", ".yml", ".json", ".toml", ".tpl", ".txt", ".ini", ".sh"}

FORMS = {
    "JSON web token": re.compile(r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}"),
    "private key": re.compile(r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\s+[A-Za-z0-9+/=]{40}"),
    "AWS key": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "GitHub token": re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{60})"),
    "Slack token": re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{10}"),
    "Stripe key": re.compile(r"\b[rs]k_live_[A-Za-z0-9]{16}"),
    "password hash": re.compile(r"\$argon2id\$v=\d+\$m=\d+,t=\d+,p=\d+\$\w{16,}\$\w{16}"),
}


def published() -> Iterator[Path]:
    yield from (path for path in ROOT.iterdir() if path.is_file() and path.suffix in SUFFIXES | {".lock"})
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix in SUFFIXES and "__pycache__" not in path.parts:
                yield path


def secrets_in(text: str) -> list[str]:
    keys = [found for found in re.findall(KEY_PATTERN, text) if ApiKey.parse(found) is not None]
    return ["API key" for _ in keys] + [name for name, form in FORMS.items() if form.search(text)]


def test_no_file_contains_the_form_of_a_secret() -> None:
    files = list(published())
    assert len(files) > 300
    assert {str(path.relative_to(ROOT)): found for path in files if (found := secrets_in(path.read_text()))} == {}


def test_the_contract_contains_no_example_in_the_form_of_a_secret() -> None:
    url = "postgresql://nobody@127.0.0.1/nowhere"
    required = {"database_url": url, "admin_database_url": url, "nextauth_secret": "a-long-and-serious-secret"}
    contract = json.dumps(create_app(Settings.model_validate(required)).openapi())
    assert "adminUser" in contract
    assert secrets_in(contract) == []


@pytest.mark.parametrize(
    "secret",
    [
        ApiKey.generate().text,
        f"eyJ{'a' * 10}.eyJ{'b' * 10}.{'c' * 10}",
        f"-----BEGIN PRIVATE {'KEY'}-----\n{'M' * 64}\n",
        f"AKIA{'A' * 16}",
        f"ghp_{'a' * 36}",
    ],
    # Random values would differ between the test processes, which must agree on the parameters.
    ids=["our own", "token", "private key", "AWS", "GitHub"],
)
def test_a_secret_would_be_found(secret: str) -> None:
    assert len(secrets_in(f"it is {secret}.")) == 1
