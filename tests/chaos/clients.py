"""How the run's callers use the service: every call and its result is recorded in the ledger."""

from typing import Any

import httpx
from temporalio.client import Client
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig
from temporalio.service import RPCError, RPCStatusCode

from tests.chaos.checks.ledger import Call, CallResult, Entry, Ledger
from tests.chaos.scenarios.plan import Act
from tests.chaos.stack import TASK_QUEUE, Installation

CALL_TIMEOUT = 12.0
READ_TIMEOUT = 4.0
# Each gateway gets one of the two paths that lead to an operation.
CANCEL_PATHS = ("/operations/{}", "/tenants/{}")
STATUS_PATHS = ("/operations/{}", "/tenants/{}/status")
PAGE_SIZE = 50
ALGADESK = "algadesk"
# Unresponsive servers are expected here.
QUIET = Runtime(telemetry=TelemetryConfig(logging=LoggingConfig(filter="ERROR")))


class Callers:
    """Callers over HTTP through either gateway, or in Temporal as Alga's own client."""

    def __init__(self, ledger: Ledger, installation: Installation, http: httpx.AsyncClient) -> None:
        self._ledger = ledger
        self._installation = installation
        self._http = http
        self._temporal: Client | None = None

    async def create(self, entry: Entry, gateway: int) -> CallResult:
        """Request the tenant from a gateway."""
        plan = entry.plan
        headers = {}
        if plan.key is not None:
            headers["Idempotency-Key"] = plan.key
        if plan.wait is not None:
            headers["Prefer"] = f"wait={plan.wait}"
        result = await self._ask(entry, Call.CREATE, gateway, "/tenants", json=_body(entry), headers=headers)
        if result.is_accepted:
            entry.workflow_id = entry.workflow_id or result.body["workflowId"]
        return result

    async def cancel(self, entry: Entry, gateway: int, reason: str) -> CallResult:
        """Request the cancellation of the operation."""
        path = CANCEL_PATHS[gateway].format(entry.workflow_id)
        return await self._ask(entry, Call.CANCEL, gateway, path, params={"reason": reason})

    async def change(self, entry: Entry, gateway: int) -> CallResult:
        """Request another name for the tenant's company."""
        path = f"/operations/{entry.workflow_id}"
        return await self._ask(entry, Call.CHANGE, gateway, path, json={"companyName": changed_company(entry)})

    async def resume(self, entry: Entry, gateway: int) -> CallResult:
        """Request that the operation resumes."""
        return await self._ask(entry, Call.RESUME, gateway, f"/operations/{entry.workflow_id}/resume")

    async def act(self, entry: Entry, number: int, gateway: int) -> CallResult:
        """Request a step of the tenant's scenario."""
        step = entry.steps[number]
        _, path = step.act.split()
        url = f"/tenants/{entry.tenant_id}/{path}"
        return await self._ask(entry, step.act, gateway, url, number, **({"json": step.body} if step.body else {}))

    async def terminate_deletion(self, entry: Entry, number: int) -> CallResult:
        """Terminate the workflow of the deletion that was requested last."""
        accepted = [result for result in entry.did(Act.DELETE) if result.is_accepted]
        return await self._end(entry, Act.TERMINATE, accepted[-1].body["workflowId"], number)

    async def read_tenant(self, tenant_id: str, gateway: int) -> httpx.Response:
        """Return the tenant, unrecorded."""
        return await self._http.get(f"{self._installation.gateways[gateway]}/tenants/{tenant_id}")

    async def read(self, workflow_id: str, gateway: int) -> httpx.Response:
        """Return the operation's status, unrecorded; raise httpx's `TransportError`."""
        url = f"{self._installation.gateways[gateway]}{STATUS_PATHS[gateway].format(workflow_id)}"
        return await self._http.get(url, timeout=READ_TIMEOUT)

    async def resume_operation(self, workflow_id: str, gateway: int) -> None:
        """Request that an operation resumes, unrecorded; raise httpx's `TransportError`."""
        url = f"{self._installation.gateways[gateway]}/operations/{workflow_id}/resume"
        await self._http.post(url, timeout=READ_TIMEOUT)

    async def list_all(self, collection: str, gateway: int, **wanted: str) -> list[dict[str, Any]]:
        """Return every page of `GET /operations` or `GET /tenants`, unrecorded."""
        url = f"{self._installation.gateways[gateway]}/{collection}"
        found: list[dict[str, Any]] = []
        token: str | None = None
        while True:
            page: dict[str, str | int] = {**wanted, "pageSize": PAGE_SIZE, **({"pageToken": token} if token else {})}
            response = await self._http.get(url, params=page)
            response.raise_for_status()
            found += response.json()[collection]
            token = response.json().get("nextPageToken")
            if token is None:
                return found

    async def start(self, entry: Entry) -> CallResult:
        """Start the creation in Temporal: plain JSON, an own workflow id, the password in clear."""
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

    async def terminate(self, entry: Entry) -> CallResult:
        """Terminate the creation's workflow in Temporal; 404 if it has ended by itself."""
        return await self._end(entry, Call.TERMINATE, str(entry.workflow_id))

    async def temporal(self) -> Client:
        """Return a Temporal client; raise `RuntimeError` if the server is away."""
        if self._temporal is None:
            self._temporal = await Client.connect(self._installation.servers.temporal.address, runtime=QUIET)
        return self._temporal

    async def _end(self, entry: Entry, call: Call | Act, workflow_id: str, step: int = 0) -> CallResult:
        sent_at = self._ledger.now
        status, fault = None, None
        try:
            await (await self.temporal()).get_workflow_handle(workflow_id).terminate(reason="chaos")
            status = 202
        except RPCError as error:
            status, fault = (404, None) if error.status is RPCStatusCode.NOT_FOUND else (None, error.status.name)
        except RuntimeError as error:
            fault = type(error).__name__
        return self._book(entry, call, "temporal", sent_at, step=step, status=status, fault=fault)

    async def _ask(
        self, entry: Entry, call: Call | Act, gateway: int, path: str, step: int = 0, **rest: Any
    ) -> CallResult:
        method = call.value.split()[0]
        where = f"gateway-{gateway + 1}"
        sent_at = self._ledger.now
        try:
            response = await self._http.request(method, f"{self._installation.gateways[gateway]}{path}", **rest)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            return self._book(entry, call, where, sent_at, step=step, fault=type(error).__name__, was_sent=False)
        except httpx.TransportError as error:
            return self._book(entry, call, where, sent_at, step=step, fault=type(error).__name__)
        return self._book(entry, call, where, sent_at, step=step, status=response.status_code, body=response.json())

    def _book(self, entry: Entry, call: Call | Act, where: str, sent_at: float, **rest: Any) -> CallResult:
        result = CallResult(call, where, sent_at, self._ledger.now, **rest)
        (entry.acts if isinstance(call, Act) else entry.results).append(result)
        return result


def company(entry: Entry) -> str:
    """Return the requested name of the tenant's company."""
    return f"Company {entry.plan.number}"


def changed_company(entry: Entry) -> str:
    """Return the company's name after a change."""
    return f"{company(entry)} renamed"


def _body(entry: Entry) -> dict[str, Any]:
    plan = entry.plan
    admin = {"firstName": "Ada", "lastName": "Byron", "email": plan.email}
    return {
        "tenantName": entry.name,
        "companyName": company(entry),
        # The neighbour is the management tenant, whose rows must not change.
        "skipCustomerTracking": True,
        "adminUser": admin if plan.password is None else {**admin, "password": plan.password},
        **({"tenantId": str(plan.tenant_id)} if plan.tenant_id is not None else {}),
        **plan.profile.fields,
    }
