from pathlib import Path

import pytest
from pydantic import SecretStr

from app.settings import Settings, SettingsError

BUCKET = {"export_url": "s3://exports/tenants"}
KEY = {"aws_access_key_id": "the-key", "aws_secret_access_key": "open sesame"}


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        if name.startswith("aws_"):
            monkeypatch.delenv(name.upper(), raising=False)


def load(**changes: str) -> Settings:
    return Settings.load(
        database_url=SecretStr("postgresql://nobody@nowhere/alga"),
        admin_database_url=SecretStr("postgresql://nobody@nowhere/alga"),
        nextauth_secret=SecretStr("a-long-and-serious-secret"),
        **changes,
    )


def test_a_store_gets_only_what_is_set() -> None:
    assert load(**BUCKET).s3_options == {}
    options = {**KEY, "aws_region": "eu-central-1", "aws_endpoint_url": "http://minio:9000", "aws_allow_http": "true"}
    assert load(**BUCKET, **options).s3_options == options


def test_credentials_are_read_from_files_and_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    for name, value in {**KEY, "aws_session_token": "the-token"}.items():
        (tmp_path / name.upper()).write_text(f"{value}\n")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a newer one")
    assert load(**BUCKET).s3_options == {**KEY, "aws_session_token": "a newer one"}


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"aws_access_key_id": "the-key"}, "AWS_SECRET_ACCESS_KEY is not set"),
        ({"aws_secret_access_key": "open sesame"}, "AWS_ACCESS_KEY_ID is not set"),
        ({"aws_session_token": "open sesame"}, "AWS_ACCESS_KEY_ID is not set"),
        ({**KEY, "aws_session_token": ""}, "AWS_SESSION_TOKEN: "),
        ({**KEY, "aws_secret_access_key": "changeme"}, "AWS_SECRET_ACCESS_KEY is a placeholder"),
        ({"aws_endpoint_url": "minio:9000"}, "AWS_ENDPOINT_URL: must be a URL"),
        ({"aws_endpoint_url": "https://ada:sesame@minio:9000"}, "AWS_ENDPOINT_URL: must be a URL"),
        ({"aws_endpoint_url": "http://minio:9000"}, "AWS_ENDPOINT_URL: has no TLS"),
    ],
)
def test_a_fault_is_named(changes: dict[str, str], fault: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(**BUCKET, **changes)
    assert str(refused.value).startswith(fault)
    assert "sesame" not in str(refused.value)


def test_a_folder_needs_no_credentials() -> None:
    load(export_url="file:///srv/exports", aws_access_key_id="of another program", aws_endpoint_url="http://away")


def test_no_secret_is_in_the_repr() -> None:
    settings = load(**BUCKET, **KEY, aws_session_token="the token")
    shown = repr(settings) + str(settings.model_dump())
    assert not [secret for secret in ("open sesame", "the token") if secret in shown]
