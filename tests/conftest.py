"""The servers that tests share: one PostgreSQL and one Temporal for each test process, started on first use."""

import gc
import logging
import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import structlog

from app.embedded.postgres import EmbeddedPostgres
from tests.support.alga import build_template
from tests.support.alga import golden as read_golden
from tests.support.certificates import Authority
from tests.support.folders import reachable_folder
from tests.support.servers.databases import NewDatabase, create_database
from tests.support.servers.restartable import RestartableTemporal
from tests.support.servers.s3 import S3Server
from tests.support.spreading import Scheduling, longest_first
from tests.support.sql_watch.tables import algas_scoped_tables
from tests.support.sql_watch.watch import SERVER_SETTINGS, SqlWatch


def pytest_configure() -> None:
    """Hide a running `make run`, and restore SIGINT, which shells make programs in the background ignore."""
    # Commands under test must not find a `make run` of this checkout.
    os.environ["ALGA_TENANTS_DATA_DIR"] = ""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Look for no garbage among modules and tests, which stay until the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the longest files first, which `--no-loadscope-reorder` keeps so."""
    items.sort(key=longest_first)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling | None:
    """Spread the tests as ours need it, unless another way than by file was asked for."""
    return Scheduling(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.fixture(autouse=True)
def unconfigured_logging() -> Iterator[None]:
    """Reset the logging of a command that ran in this process, because its stream is closed by now."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    for handler in [handler for handler in root.handlers if handler not in handlers]:
        root.removeHandler(handler)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """A folder for servers' data that is removed after the last test."""
    with reachable_folder() as folder:
        yield folder


@pytest.fixture(scope="session", autouse=True)
def quick_processes(server_folder: Path) -> Iterator[None]:
    """Spare each HTTP client reading all trusted authorities, and each process compiling its modules."""
    with pytest.MonkeyPatch.context() as patch:
        # A name of its own, so that a certificate of a test's authority has an unknown issuer.
        patch.setenv("SSL_CERT_FILE", str(Authority(server_folder, "only-trusted-authority").file))
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        yield


@pytest.fixture(scope="session", autouse=True)
def sql_watch() -> Iterator[SqlWatch]:
    """Fails, as an error of the last test, if the product sent a statement that names no tenant."""
    watch = SqlWatch()
    watch.start()
    yield watch
    watch.stop()
    if found := watch.findings(algas_scoped_tables()):
        pytest.fail("\n".join(map(str, found)), pytrace=False)


@pytest.fixture(scope="session")
def postgres(server_folder: Path, sql_watch: SqlWatch) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL server; tests that write take a database of their own from `new_database`."""
    # Its databases are too young to need a vacuum, which would visit each of them once a minute.
    settings = {**SERVER_SETTINGS, "autovacuum": "off"}
    with EmbeddedPostgres(server_folder / "postgres", durable=False, settings=settings) as server:
        yield server
    sql_watch.read_log(server.data_dir)


@pytest.fixture(scope="session")
def temporal(server_folder: Path) -> Iterator[RestartableTemporal]:
    """A Temporal server, which tests use at the same time with task queues of their own."""
    with RestartableTemporal(server_folder / "temporal", durable=False) as server:
        yield server


@pytest.fixture(scope="session")
def s3(server_folder: Path) -> Iterator[S3Server]:
    """An S3 server; each test takes a bucket of its own."""
    with S3Server(server_folder) as server:
        yield server


@pytest.fixture(scope="session")
def new_database(postgres: EmbeddedPostgres) -> NewDatabase:
    """Return a function that creates a database, empty or as a copy, and returns its admin URL."""
    return partial(create_database, postgres.admin_url)


@pytest.fixture(scope="session")
def alga_plain_template(new_database: NewDatabase) -> str:
    """All of Alga's tables as on plain PostgreSQL, for tests to copy."""
    return build_template("plain", new_database)


@pytest.fixture(scope="session")
def alga_citus_template(new_database: NewDatabase) -> str:
    """All of Alga's tables with their keys on Citus, for tests to copy."""
    return build_template("citus", new_database)


@pytest.fixture(scope="session")
def golden() -> dict[str, Any]:
    """The rows that Alga's own code wrote for two tenants."""
    return read_golden()
