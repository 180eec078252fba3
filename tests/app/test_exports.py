"""The store of archives is opened as the settings say."""

from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from app.exports import archive_store
from app.settings import Settings
from tests.support.servers.s3 import S3Server

pytestmark = pytest.mark.anyio


@pytest.fixture
def settings(s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """Settings of a bucket, which are in files."""
    files = {**s3.environment, "EXPORT_URL": f"s3://{s3.new_bucket()}/kept", "AWS_ACCESS_KEY_ID": "from-a-file"}
    for name, value in files.items():
        monkeypatch.delenv(name, raising=False)
        (tmp_path / name).write_text(value)
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    return Settings.load(
        database_url=SecretStr("postgresql://nobody@nowhere/alga"),
        admin_database_url=SecretStr("postgresql://nobody@nowhere/alga"),
        nextauth_secret=SecretStr("a-long-and-serious-secret"),
    )


async def test_credentials_in_files_reach_the_bucket(settings: Settings) -> None:
    store = archive_store(settings)
    assert store is not None
    async with store.write("a") as file:
        await file.write(b"content")
    [found] = await store.list("")
    assert (found.path, found.size) == ("a", 7)
    link = await store.presign("a", 60)
    assert link is not None
    assert httpx.URL(link).params["X-Amz-Credential"].startswith("from-a-file/")


def test_there_is_no_store_without_a_url(settings: Settings) -> None:
    assert archive_store(settings.model_copy(update={"export_url": None})) is None
