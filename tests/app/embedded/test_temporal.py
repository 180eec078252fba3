import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from temporalio.client import Client

from app.embedded.errors import FolderLockedError
from app.embedded.processes.ports import LOOPBACK, free_port
from app.embedded.temporal import EmbeddedTemporal
from tests.support.folders import reachable_folder
from tests.support.servers.processes import processes_in, wait_for

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def shared_server() -> Iterator[EmbeddedTemporal]:
    with reachable_folder() as folder:
        server = EmbeddedTemporal(folder / "temporal", ui=False)
        yield server
        server.stop()


@pytest.fixture
def server(shared_server: EmbeddedTemporal) -> EmbeddedTemporal:
    """A running server that the module's tests share; a test may stop it."""
    try:
        assert shared_server.pid
    except RuntimeError:
        shared_server.start()
    return shared_server


async def start_workflow(server: EmbeddedTemporal, workflow_id: str) -> None:
    client = await Client.connect(server.address)
    await client.start_workflow("unserved", id=workflow_id, task_queue="unpolled")


async def has_workflow(server: EmbeddedTemporal, workflow_id: str) -> bool:
    client = await Client.connect(server.address)
    return [found.id async for found in client.list_workflows(f"WorkflowId = '{workflow_id}'")] == [workflow_id]


async def test_workflows_survive_a_restart(server: EmbeddedTemporal) -> None:
    await start_workflow(server, "kept")

    server.stop()
    server.start()

    client = await Client.connect(server.address)
    assert (await client.get_workflow_handle("kept").describe()).workflow_type == "unserved"


async def test_workflows_survive_a_killed_server(server: EmbeddedTemporal) -> None:
    await start_workflow(server, "outlives-a-kill")
    os.kill(server.pid, signal.SIGKILL)
    server.stop()

    server.start()

    client = await Client.connect(server.address)
    assert (await client.get_workflow_handle("outlives-a-kill").describe()).workflow_type == "unserved"


async def test_two_servers_run_side_by_side_one_with_the_web_ui(server: EmbeddedTemporal, folder: Path) -> None:
    with EmbeddedTemporal(folder / "with-ui") as other:
        await start_workflow(other, "only-here")

        assert other.address != server.address
        assert not await has_workflow(server, "only-here")
        assert server.ui_url is None
        assert other.ui_url is not None
        async with httpx.AsyncClient(follow_redirects=True) as browser:
            assert (await browser.get(other.ui_url)).status_code == 200


def test_the_server_itself_keeps_its_folder_locked(server: EmbeddedTemporal) -> None:
    assert server.data_dir / "lock" in [Path(file.path) for file in psutil.Process(server.pid).open_files()]


def test_a_folder_in_use_is_refused_by_name_and_owner(server: EmbeddedTemporal) -> None:
    with pytest.raises(FolderLockedError, match=f"{server.data_dir} is in use by process {os.getpid()}:"):
        EmbeddedTemporal(server.data_dir).start()


async def test_a_port_that_was_taken_meanwhile_is_replaced(folder: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        ports = iter([taken.getsockname()[1], free := free_port()])
        with EmbeddedTemporal(folder / "temporal", ui=False, pick_port=lambda: next(ports)) as server:
            assert server.address == f"{LOOPBACK}:{free}"
            assert not await has_workflow(server, "none")


def test_nothing_is_left_running_after_stop(server: EmbeddedTemporal) -> None:
    assert processes_in(server.data_dir)

    server.stop()

    wait_for(lambda: not processes_in(server.data_dir))
