"""Gateways with stores of archives: a folder, and a bucket of an S3-compatible server."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import asyncpg
import httpx
import pytest
from obstore.store import S3Store

from activities.export.storage import ArchiveStore, open_store
from app.settings import Settings
from tests.app.gateway.exports.archived import Bucket, Files, Folder, Stored, store_archive
from tests.app.gateway.server import RunningGateway
from tests.support.servers.s3 import S3Server


@dataclass(frozen=True)
class Storing:
    """A gateway and its store. `files` is the way to damage what is in it."""

    gateway: RunningGateway
    store: ArchiveStore
    files: Files


@pytest.fixture(scope="session")
def in_folder(settings: Settings, api_key: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storing]:
    root = tmp_path_factory.mktemp("exports")
    configured = settings.model_copy(update={"export_url": root.as_uri()})
    with RunningGateway(configured, api_key) as gateway:
        yield Storing(gateway, open_store(root.as_uri()), Folder(root))


@pytest.fixture(scope="session")
def in_bucket(settings: Settings, api_key: str, s3: S3Server) -> Iterator[Storing]:
    bucket = s3.new_bucket()
    url = f"s3://{bucket}/kept"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3.environment.items():
            patch.setenv(name, value)
        store = open_store(url)
        with RunningGateway(settings.model_copy(update={"export_url": url}), api_key) as gateway:
            yield Storing(gateway, store, Bucket(S3Store(bucket, prefix="kept")))


@pytest.fixture(params=["in_folder", "in_bucket"])
def storing(request: pytest.FixtureRequest) -> Storing:
    found: Storing = request.getfixturevalue(request.param)
    return found


@pytest.fixture
async def exporter(storing: Storing) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the gateway in `storing`."""
    async with storing.gateway.client() as client:
        yield client


@pytest.fixture
async def stored(database: asyncpg.Connection, storing: Storing) -> Stored:
    """A small archive in `storing`."""
    return await store_archive(database, storing.store)


@pytest.fixture
async def folder_http(in_folder: Storing) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the gateway whose store is a folder."""
    async with in_folder.gateway.client() as client:
        yield client
