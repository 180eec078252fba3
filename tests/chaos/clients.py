"""How the run's callers talk to the service: every call is booked in the ledger with what came of it."""

from typing import Any

import httpx
from temporalio.client import Client, WorkflowHandle
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig
from temporalio.service import RPCError, RPCStatusCode

from tests.chaos.checks.ledger import Answer, Call, Entry, Ledger
from tests.chaos.stack import TASK_QUEUE, Installation

CALL_TIMEOUT = 12.0
READ_TIMEOUT = 4.0
# Each gateway is asked in one of the two ways that lead to an operation.
CANCEL_PATHS = ("/operations/{}", "/tenants/{}")
STATUS_PATHS = ("/operations/{}", "/tenants/{}/status")
PAGE_SIZE = 50
ALGADESK = "algadesk"
# That a server does not answer is what it is all about here.
QUIET = Runtime(telemetry=TelemetryConfig(logging=LoggingConfig(filter="ERROR")))


class Callers:
    """Those who ask for tenants: over HTTP through either gateway, or in Temporal as Alga's own client does."""

    def __init__(self, ledger: Ledger, installation: Installation, http: httpx.AsyncClient) -> None:
        self._ledger = ledger
        self._installation = installation
        self._http = http
        self._temporal: Client | None = None

    async def create(self, entry: Entry, gateway: int) -> Answer:
        """Ask a gateway for the tenant."""
        plan = entry.plan
        headers = {}
        if plan.key is not None:
            headers["Idempotency-Key"] = plan.key
        if plan.wait is not None:
            headers["Prefer"] = f"wait={plan.wait}"
        answer = await self._ask(entry, Call.CREATE, gateway, "/tenants", json=_body(entry), headers=headers)
        if answer.is_accepted:
            entry.workflow_id = entry.workflow_id or answer.body["workflowId"]
        return answer

    async def cancel(self, entry: Entry, gateway: int, reason: str) -> Answer:
        """Ask a gateway to cancel the operation."""
        path = CANCEL_PATHS[gateway].format(entry.workflow_id)
        return await self._ask(entry, Call.CANCEL, gateway, path, params={"reason": reason})

    async def change(self, entry: Entry, gateway: int) -> Answer:
        """Ask a gateway to give the tenant's company another name."""
        path = f"/operations/{entry.workflow_id}"
        return await self._ask(entry, Call.CHANGE, gateway, path, json={"companyName": changed_company(entry)})

    async def resume(self, entry: Entry, gateway: int) -> Answer:
        """Ask a gateway to let the operation go on."""
        return await self._ask(entry, Call.RESUME, gateway, f"/operations/{entry.workflow_id}/resume")

    async def read(self, workflow_id: str, gateway: int) -> httpx.Response:
        """The operation's status; not booked. Raises httpx's `TransportError`."""
        url = f"{self._installation.gateways[gateway]}{STATUS_PATHS[gateway].format(workflow_id)}"
        return await self._http.get(url, timeout=READ_TIMEOUT)

    async def list_all(self, collection: str, gateway: int) -> list[dict[str, Any]]:
        """Every page of `GET /operations` or `GET /tenants`; not booked."""
        url = f"{self._installation.gateways[gateway]}/{collection}"
        found: list[dict[str, Any]] = []
        token: str | None = None
        while True:
            page: dict[str, str | int] = {"pageSize": PAGE_SIZE, **({"pageToken": token} if token else {})}
            response = await self._http.get(url, params=page)
            response.raise_for_status()
            found += response.json()[collection]
            token = response.json().get("nextPageToken")
            if token is None:
                return found

    async def start(self, entry: Entry) -> Answer:
        """Start the creation in Temporal, with plain JSON, a workflow id of its own and the password in clear."""
        entry.workflow_id = f"tenant-creation-1764000000000-{entry.plan.number:08x}"
        algadesk = entry.plan.profile.fields.get("productCode") == ALGADESK
        sent_at = self._ledger.now
        fault = None
        try:
            await (await self.temporal()).start_workflow(
                "algadeskTenantCreationWorkflow" if algadesk else "tenantCreationWorkflow",
                _body(entry),
                id=entry.workflow_id,
                task_queue=TASK_QUEUE,
            )
        except WorkflowAlreadyStartedError:
            pass
        except (RPCError, RuntimeError) as error:
            fault = type(error).__name__
        return self._book(entry, Call.START, "temporal", sent_at, status=202 if fault is None else None, fault=fault)

    async def terminate(self, entry: Entry) -> Answer:
        """Terminate the operation's workflow in Temporal; 404 where it has ended by itself."""
        sent_at = self._ledger.now
        status, fault = None, None
        try:
            await (await self.workflow(entry)).terminate(reason="chaos")
            status = 202
        except RPCError as error:
            status, fault = (404, None) if error.status is RPCStatusCode.NOT_FOUND else (None, error.status.name)
        except RuntimeError as error:
            fault = type(error).__name__
        return self._book(entry, Call.TERMINATE, "temporal", sent_at, status=status, fault=fault)

    async def temporal(self) -> Client:
        """A client of Temporal itself; raises `RuntimeError` where it is away."""
        if self._temporal is None:
            self._temporal = await Client.connect(self._installation.servers.temporal.address, runtime=QUIET)
        return self._temporal

    async def workflow(self, entry: Entry) -> WorkflowHandle[Any, Any]:
        """The newest run of the operation's workflow."""
        return (await self.temporal()).get_workflow_handle(str(entry.workflow_id))

    async def _ask(self, entry: Entry, call: Call, gateway: int, path: str, **rest: Any) -> Answer:
        method = call.value.split()[0]
        where = f"gateway-{gateway + 1}"
        sent_at = self._ledger.now
        try:
            response = await self._http.request(method, f"{self._installation.gateways[gateway]}{path}", **rest)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            return self._book(entry, call, where, sent_at, fault=type(error).__name__, was_sent=False)
        except httpx.TransportError as error:
            return self._book(entry, call, where, sent_at, fault=type(error).__name__)
        return self._book(entry, call, where, sent_at, status=response.status_code, body=response.json())

    def _book(self, entry: Entry, call: Call, where: str, sent_at: float, **rest: Any) -> Answer:
        answer = Answer(call, where, sent_at, self._ledger.now, **rest)
        entry.answers.append(answer)
        return answer


def company(entry: Entry) -> str:
    """The name of the company that the tenant is asked for with."""
    return f"Company {entry.plan.number}"


def changed_company(entry: Entry) -> str:
    """What a change calls it."""
    return f"{company(entry)} renamed"


def _body(entry: Entry) -> dict[str, Any]:
    plan = entry.plan
    admin = {"firstName": "Ada", "lastName": "Byron", "email": plan.email}
    return {
        "tenantName": entry.name,
        "companyName": company(entry),
        "adminUser": admin if plan.password is None else {**admin, "password": plan.password},
        **({"tenantId": str(plan.tenant_id)} if plan.tenant_id is not None else {}),
        **plan.profile.fields,
    }
