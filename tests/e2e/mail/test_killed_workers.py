"""Workers that are killed when the mail server has accepted a mail, and before that is noted.

`MAIL_KILLS=50 pytest tests/e2e/mail/test_killed_workers.py -s` kills that many.
"""

import os
import signal
from collections import Counter
from email.message import EmailMessage
from uuid import uuid4

import anyio
import asyncpg
import pytest
from temporalio.client import Client

from tests.e2e.conftest import Service, request
from tests.e2e.mail.conftest import settings_for
from tests.e2e.replicas import Replica
from tests.support.servers.mail import ACCEPTED, MailServer
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio

KILLS = int(os.environ.get("MAIL_KILLS", "1"))


async def test_a_killed_worker_costs_no_mail(service: Service, database: asyncpg.Connection) -> None:
    with MailServer() as server:
        await kill_and_check(service, database, server)


async def kill_and_check(service: Service, database: asyncpg.Connection, server: MailServer) -> None:
    # Mails wait for the next worker, however many are killed.
    queue = f"mail-{uuid4()}"
    settings = {**settings_for(server), "STEP_RETRY_WINDOW": "3600", "TEMPORAL_TASK_QUEUE": queue}
    worker = Replica(service, "worker", settings)
    seen: set[str] = set()
    killed = 0

    def kill_at_first(message: EmailMessage) -> str:
        nonlocal killed
        if message["To"] not in seen:
            seen.add(message["To"])
            killed += 1
            os.kill(worker.process.pid, signal.SIGKILL)
        return ACCEPTED

    server.reply = kill_at_first
    try:
        await worker.start()
        client = await Client.connect(service.environment["TEMPORAL_ADDRESS"])
        started = [f"tenant-creation-{uuid4().hex}" for _ in range(KILLS)]
        for workflow_id in started:
            await client.start_workflow("tenantCreationWorkflow", request(), id=workflow_id, task_queue=queue)

        async def all_ended() -> bool:
            if worker.process.exit_status is not None:
                await worker.start()
            query = "SELECT count(finished_at) FROM alga_tenants.operations WHERE workflow_id = ANY ($1)"
            return bool(await database.fetchval(query, started) == KILLS)

        await wait_until(all_ended, timeout=120 + 30 * KILLS, every=0.2)
    finally:
        await anyio.to_thread.run_sync(worker.process.stop)
    query = (
        "SELECT o.tenant_id::text, u.email, m.sent_at FROM alga_tenants.operations o "
        "JOIN alga_tenants.mails m USING (workflow_id, run_id) JOIN users u ON u.tenant = o.tenant_id "
        "WHERE o.workflow_id = ANY ($1) AND o.status = 'completed' AND o.warnings = '[]'"
    )
    rows = await database.fetch(query, started)
    assert len(rows) == killed == KILLS
    arrived = Counter(server.recipients)
    numbers = Counter(arrived[row["email"]] for row in rows)
    print(f"{killed} workers killed; tenants by number of mails: {dict(numbers)}")  # noqa: T201 - the figure
    assert all(row["sent_at"] is not None for row in rows)
    # Each kill came after a mail was accepted, so that mail came again, with the same id.
    assert min(numbers) >= 2
    assert sum(arrived.values()) <= 3 * KILLS
    assert len({message["Message-ID"] for message in server.received}) == KILLS
