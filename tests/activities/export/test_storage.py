"""Stores of archives: a folder, and an S3 server."""

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import httpx
import pytest

from activities.export.storage import PIECE, READ_SIZE, ArchiveStore, NotStoredError, StorageError, open_store

if TYPE_CHECKING:
    from tests.support.servers.s3 import S3Server

pytestmark = pytest.mark.anyio

LARGE = os.urandom(READ_SIZE // 2) * 5


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, folder: Path) -> ArchiveStore:
    """Each kind of store."""
    if request.param == "folder":
        return open_store(folder.as_uri())
    return open_store(f"s3://{request.getfixturevalue('bucket')}/all/exports")


async def read(store: ArchiveStore, path: str, *ends: int) -> bytes:
    return b"".join([piece async for piece in store.read(path, *ends)])


async def test_a_file_is_read_as_it_was_written(store: ArchiveStore) -> None:
    async with store.write("t/e/large") as file:
        for start in range(0, len(LARGE), 1 << 20):
            await file.write(LARGE[start : start + (1 << 20)])
        assert not await store.exists("t/e/large")
    async with store.write("t/e/small") as file:
        await file.write(b"a")
    async with store.write("t/e/empty"):
        # Nothing is written.
        await asyncio.sleep(0)

    assert len(LARGE) > PIECE
    assert await read(store, "t/e/large") == LARGE
    assert await read(store, "t/e/large", 5, 20) == LARGE[5:20]
    assert await read(store, "t/e/large", READ_SIZE - 1) == LARGE[READ_SIZE - 1 :]
    assert await read(store, "t/e/large", 5, 2 * len(LARGE)) == LARGE[5:]
    assert await read(store, "t/e/empty") == b""
    reader = await asyncio.to_thread(store.open, "t/e/large")
    assert await asyncio.to_thread(reader.read, 3) == LARGE[:3]
    assert [(file.path, file.size) for file in await store.list("t")] == [
        ("t/e/empty", 0),
        ("t/e/large", len(LARGE)),
        ("t/e/small", 1),
    ]


@pytest.fixture
async def uploads(store: ArchiveStore, request: pytest.FixtureRequest) -> Callable[[], Awaitable[list[str]]]:
    """Return a function for the files of the store, and the uploads that the server still waits for."""

    async def find() -> list[str]:
        found = [file.path for file in await store.list("")]
        if "s3" in request.node.name:
            s3: S3Server = request.getfixturevalue("s3")
            found += await asyncio.to_thread(s3.open_uploads, request.getfixturevalue("bucket"))
        return found

    return find


async def write_broken(store: ArchiveStore, size: int, then: Callable[[], Awaitable[object]]) -> None:
    async with store.write("t/e/broken") as file:
        await file.write(bytes(size))
        await then()


async def fail() -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize("size", [1, 3 * PIECE])
async def test_an_error_leaves_nothing_of_a_file(
    store: ArchiveStore, size: int, uploads: Callable[[], Awaitable[list[str]]]
) -> None:
    with pytest.raises(ZeroDivisionError):
        await write_broken(store, size, fail)

    assert await uploads() == []


async def test_a_cancelled_upload_leaves_nothing(
    store: ArchiveStore, uploads: Callable[[], Awaitable[list[str]]]
) -> None:
    is_written = asyncio.Event()

    async def wait() -> None:
        is_written.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(write_broken(store, 3 * PIECE, wait))
    written = asyncio.create_task(is_written.wait())
    await asyncio.wait({task, written}, return_when=asyncio.FIRST_COMPLETED)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await uploads() == []


async def test_a_folder_is_removed_with_everything_in_it(store: ArchiveStore) -> None:
    for path in ("t/e/1/parts/a", "t/e/1/manifest.json", "t/e/10/manifest.json", "t/f/1/parts/b"):
        async with store.write(path) as file:
            await file.write(b"a")

    assert await store.delete_prefix("t/e/1") == 2
    assert [file.path for file in await store.list("t")] == ["t/e/10/manifest.json", "t/f/1/parts/b"]
    assert await store.delete_prefix("t/e/1") == 0
    assert await store.delete_prefix("/t/") == 2
    assert await store.list("t") == ()
    with pytest.raises(ValueError, match="whole store"):
        await store.delete_prefix("/")


async def test_an_archive_may_be_removed_by_several_at_once(folder: Path) -> None:
    store = open_store(folder.as_uri())
    for number in range(20):
        archive = folder / "exports" / f"tenant-{number}" / "1"
        archive.mkdir(parents=True)
        for part in range(30):
            (archive / f"part-{part}").touch()
    await asyncio.gather(
        *(store.delete_prefix(f"exports/tenant-{number}") for number in range(20) for _ in range(4)),
    )
    assert not (folder / "exports").exists()


async def test_what_a_killed_process_left_in_a_folder_is_removed(folder: Path) -> None:
    store = open_store(folder.as_uri())
    parts = folder / "t/e/1/parts"
    parts.mkdir(parents=True)
    (parts / "a#1").touch()

    await store.delete_prefix("t/e/1")

    assert await store.list("") == ()
    assert not await anyio.Path(folder / "t").exists()


async def test_a_missing_file_is_no_failure_of_the_store(store: ArchiveStore) -> None:
    assert not await store.exists("t/none")
    with pytest.raises(NotStoredError):
        await store.size("t/none")
    with pytest.raises(NotStoredError):
        await read(store, "t/none")
    with pytest.raises(NotStoredError):
        store.open("t/none")


async def test_a_path_can_not_leave_the_store(store: ArchiveStore) -> None:
    with pytest.raises(ValueError, match="illegal"):
        await store.size("../secret")
    with pytest.raises(ValueError, match="illegal"):
        await store.delete_prefix("a/../../secret")


async def test_a_signed_link_needs_no_credentials(bucket: str, folder: Path) -> None:
    store = open_store(f"s3://{bucket}/exports")
    async with store.write("a b") as file:
        await file.write(b"content")

    link = await store.presign("a b", 60)

    assert link is not None
    assert httpx.URL(link).params["X-Amz-Expires"] == "60"
    assert httpx.URL(link).params["X-Amz-Signature"]
    async with httpx.AsyncClient() as client:
        assert (await client.get(link, headers={"Range": "bytes=0-3"})).content == b"cont"
    assert await open_store(folder.as_uri()).presign("a b", 60) is None


async def test_a_missing_bucket_is_named(bucket: str) -> None:
    store = open_store("s3://no-such-bucket/exports")
    with pytest.raises(StorageError, match="failed at t/e/broken: the bucket does not exist"):
        await write_broken(store, 3 * PIECE, asyncio.Event().wait)
    assert await open_store(f"s3://{bucket}").list("") == ()


async def test_a_store_is_opened_with_options_instead_of_variables(s3: "S3Server") -> None:
    options = {name.lower(): value for name, value in s3.environment.items()}
    store = open_store(f"s3://{s3.new_bucket()}/exports", s3_options=options)
    async with store.write("a") as file:
        await file.write(b"content")

    assert await read(store, "a") == b"content"


@pytest.fixture
def refusing_url() -> Iterator[str]:
    """The address of a store that refuses everything, with a document that repeats credentials."""
    document = (
        b"<?xml version='1.0'?><Error><Code>ExpiredToken</Code><Message>It has expired.</Message>"
        b"<Token-0>open-sesame</Token-0></Error>"
    )

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(403)
            self.send_header("Content-Length", str(len(document)))
            self.end_headers()
            self.wfile.write(document)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


async def test_a_refusal_is_shown_without_the_credentials_that_the_store_repeats(refusing_url: str) -> None:
    options = {
        "aws_endpoint_url": refusing_url,
        "aws_allow_http": "true",
        "aws_access_key_id": "the-key",
        "aws_secret_access_key": "open-sesame",
        "aws_session_token": "open-sesame",
    }
    store = open_store("s3://exports", s3_options=options)
    with pytest.raises(StorageError, match="403 Forbidden: ExpiredToken: It has expired") as refused:
        await store.list("t")
    assert "sesame" not in str(refused.value) + repr(store)


async def test_a_folder_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="Not a directory"):
        open_store((tmp_path / "file/exports").as_uri())
    store = open_store((tmp_path / "exports").as_uri())
    (tmp_path / "exports/t").touch()
    with pytest.raises(StorageError, match="failed at t/e/broken"):
        await write_broken(store, 3 * PIECE, asyncio.Event().wait)


def test_a_new_folder_is_for_its_owner_only(folder: Path) -> None:
    open_store(folder.as_uri())

    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/exports",
        "file://host/exports",
        "file:///",
        "s3://",
        "s3://key:secret@bucket/a",
        "s3://b/a?x=1",
        "gs://b/a",
    ],
)
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="file:///folder or s3://bucket/prefix") as refused:
        open_store(url)
    assert "secret" not in str(refused.value)
