"""A run from beginning to end: reference tenants, load and chaos, settling, and the audit."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import httpx

from tests.chaos.checks.audit import Audit
from tests.chaos.checks.evidence import Baseline, Books, Evidence, connected, list_executions, read_books
from tests.chaos.checks.ledger import Call, Ledger
from tests.chaos.checks.on_call import Document, OnCall
from tests.chaos.checks.violations import Violation, Wrong
from tests.chaos.clients import CALL_TIMEOUT, Callers
from tests.chaos.events import Chaos
from tests.chaos.load import Load
from tests.chaos.plan import Kind, Plan, Profile
from tests.chaos.planning import PROFILES
from tests.chaos.scenarios.births import Births
from tests.chaos.scenarios.load import ScenarioLoad
from tests.chaos.scenarios.on_call import ScenarioOnCall
from tests.chaos.scenarios.plan import Act
from tests.chaos.settling import Settling
from tests.chaos.stack import Installation
from tests.support.waiting import wait_until

REFERENCE_TIMEOUT = 60.0
# A purge whose worker was killed continues after 30 s.
LOAD_TIMEOUT = 240.0
RECOVERY_TIMEOUT = 60.0
POLL_SECONDS = 0.5
CREATED = 201
NOT_FOUND = 404
UNAVAILABLE = 503


@dataclass(frozen=True)
class Outcome:
    """The result of a run."""

    plan: Plan
    ledger: Ledger
    evidence: Evidence
    violations: tuple[Violation, ...]
    events: Counter[Kind]
    seen: Counter[str]
    """How many creations were seen in each status."""
    resumed: int
    """How many other operations needed attention, and were resumed."""
    notes: tuple[str, ...]
    """Observations that are no violations."""
    seconds: float


class Run:
    """One plan on an unused installation."""

    def __init__(
        self, plan: Plan, installation: Installation, http: httpx.AsyncClient, say: Callable[[str], None]
    ) -> None:
        self.ledger = Ledger(plan)
        self._plan = plan
        self._installation = installation
        self._http = http
        self._say = say
        self._callers = Callers(self.ledger, installation, http)
        self._on_call = OnCall(self.ledger, self._callers)
        self._chaos = Chaos(self.ledger, installation, say)
        self._scenario_on_call = ScenarioOnCall(self.ledger, self._callers)
        self._births = Births(self.ledger, self._on_call, installation.servers.admin_url)
        self._settling = Settling(
            self.ledger, self._callers, self._on_call, self._scenario_on_call, installation.servers.admin_url
        )
        self._baseline: Baseline | None = None
        self._late_outages = Counter[str]()

    @property
    def baseline(self) -> Baseline:
        """The state before the chaos; `RuntimeError` before `play`."""
        if self._baseline is None:
            raise RuntimeError("nothing has been played yet")
        return self._baseline

    async def play(self) -> Outcome:
        """Play the whole run."""
        self._baseline = await self._make_baseline()
        self._say(
            f"{len(self._plan.tenants)} tenants and {len(self._plan.events)} events in {self._plan.seconds:g} s"
        )
        unanswered = await self._disturb()
        self._say("the chaos is over; waiting until every operation has settled")
        unsettled = await self._settling.wait()
        evidence = await self._gather()
        return Outcome(
            plan=self._plan,
            ledger=self.ledger,
            evidence=evidence,
            violations=(*unanswered, *unsettled, *self.audit(evidence)),
            events=self._events(),
            seen=self._on_call.seen,
            resumed=len(self._scenario_on_call.seen),
            notes=tuple(self._notes()),
            seconds=self.ledger.now,
        )

    def audit(self, evidence: Evidence) -> list[Violation]:
        """Return the violations in that evidence."""
        return list(Audit(self.ledger, self.baseline, evidence).violations())

    async def _make_baseline(self) -> Baseline:
        """Create one undisturbed tenant of each profile and record the state."""
        tenants = {profile.name: await self._make_reference(profile) for profile in PROFILES}
        return Baseline(await self._read_books(tenants.values()), tenants)

    async def _make_reference(self, profile: Profile) -> str:
        admin = {
            "firstName": "Grace",
            "lastName": "Hopper",
            "email": f"admin@{profile.name.replace(' ', '-')}.example",
        }
        response = await self._http.post(
            f"{self._installation.gateways[0]}/tenants",
            json={
                "tenantName": f"Reference {profile.name}",
                "adminUser": admin,
                "skipCustomerTracking": True,
                **profile.fields,
            },
            headers={"Prefer": f"wait={REFERENCE_TIMEOUT:.0f}"},
            timeout=None,
        )
        if response.status_code != CREATED:
            raise RuntimeError(f"an undisturbed tenant could not be made: {response.status_code} {response.text}")
        return str(response.json()["tenantId"])

    async def _disturb(self) -> list[Violation]:
        """Run load and chaos, with a person on call, until both are over; return who never got a response."""
        self.ledger.begin()
        try:
            async with asyncio.timeout(self._plan.seconds + LOAD_TIMEOUT), asyncio.TaskGroup() as watching:
                watchers = [
                    watching.create_task(watcher.run())
                    for watcher in (self._on_call, self._scenario_on_call, self._births)
                ]
                async with asyncio.TaskGroup() as group:
                    group.create_task(Load(self.ledger, self._callers).run())
                    group.create_task(
                        ScenarioLoad(self.ledger, self._callers, self._on_call, self._plan.events).run()
                    )
                    group.create_task(self._chaos.run(self._plan.events))
                for watcher in watchers:
                    watcher.cancel()
        except TimeoutError:
            unanswered = [entry for entry in self.ledger.entries if entry.plan.key and not entry.is_accepted]
            return [Violation(Wrong.UNSETTLED, "its callers still ask for it", entry) for entry in unanswered]
        # For those created at the end.
        await self._births.look()
        return []

    async def _gather(self) -> Evidence:
        books = await self._read_books(self.baseline.tenants.values())
        operations = {entry.workflow_id for entry in self.ledger.entries if entry.workflow_id is not None}
        operations |= {operation.workflow_id for operation in books.operations if not operation.is_creation}
        return Evidence(
            books=books,
            executions=await list_executions(await self._callers.temporal()),
            documents={
                workflow_id: (await self._read(workflow_id, 0), await self._read(workflow_id, 1))
                for workflow_id in sorted(operations)
            },
            watched=dict(self._on_call.documents),
            listed_operations={
                item["workflowId"]: item["status"] for item in await self._callers.list_all("operations", 0)
            },
            listed_tenants={item["tenantId"]: item["name"] for item in await self._callers.list_all("tenants", 1)},
            states={
                entry.tenant_id: (await self._state(entry.tenant_id, 0), await self._state(entry.tenant_id, 1))
                for entry in self.ledger.entries
                if entry.birth is not None
            },
            trail_breaks=await self._installation.servers.verify_trail(),
        )

    async def _read_books(self, references: Iterable[str]) -> Books:
        async with connected(self._installation.servers.admin_url) as connection:
            return await read_books(connection, without=references)

    async def _read(self, workflow_id: str, gateway: int) -> Document | None:
        """Return the operation's status, `None` for a 404. A gateway may need a moment after the last outage."""
        responses: list[httpx.Response] = []

        async def is_read() -> bool:
            responses.append(await self._callers.read(workflow_id, gateway))
            return responses[-1].status_code != UNAVAILABLE

        await wait_until(is_read, timeout=RECOVERY_TIMEOUT, every=POLL_SECONDS)
        *unavailable, response = responses
        self._late_outages.update(refused.json()["code"] for refused in unavailable)
        if response.status_code == NOT_FOUND:
            return None
        response.raise_for_status()
        document: Document = response.json()
        return document

    async def _state(self, tenant_id: str, gateway: int) -> str | None:
        response = await self._callers.read_tenant(tenant_id, gateway)
        state: str | None = response.json().get("state")
        return state

    def _events(self) -> Counter[Kind]:
        terminated = sum(
            result.is_accepted for result in self.ledger.results if result.call in {Call.TERMINATE, Act.TERMINATE}
        )
        return self._chaos.happened + Counter({Kind.WORKFLOW_TERMINATED: terminated})

    def _notes(self) -> Iterator[str]:
        for code, number in self._late_outages.items():
            yield f"gateways responded {number} times with 503 {code} after everything had settled"
        for name, replica in self._installation.replicas.items():
            if replica.exits:
                yield f"{name} ended {len(replica.exits)} times by itself, with status {sorted(set(replica.exits))}"
            if replica.dirty_ends:
                yield f"{name} ended on SIGTERM with exit status {sorted(set(replica.dirty_ends))}"


def callers_of(installation: Installation) -> httpx.AsyncClient:
    """Return callers with an API key and some patience."""
    return httpx.AsyncClient(
        headers={"Authorization": f"Bearer {installation.servers.api_key}"}, timeout=CALL_TIMEOUT
    )
