"""Makes the plan of a seed; equal seeds make equal plans, so that a run can be repeated."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random
from uuid import UUID

from tests.chaos.plan import (
    REPLICAS,
    SERVERS,
    STEP_RETRY_WINDOW,
    Event,
    Fate,
    Kind,
    Plan,
    Profile,
    Shape,
    TenantPlan,
)
from tests.chaos.scenarios.planning import with_scenarios

LASTING_OUTAGE = STEP_RETRY_WINDOW + 4.0
SECONDS_PER_EVENT = 2.2
SECONDS_PER_LASTING_OUTAGE = 60.0
TENANTS_PER_TERMINATION = 40
CALM = 1.0
"""Seconds at the end without new requests."""

LONGEST = {
    Kind.REPLICA_KILLED: 3.0,
    Kind.REPLICA_TERMINATED: 2.0,
    Kind.DATABASE_KILLED: 3.0,
    Kind.DATABASE_STOPPED: 2.0,
    Kind.DATABASE_READ_ONLY: 2.0,
    Kind.BACKENDS_TERMINATED: 0.0,
    Kind.TEMPORAL_KILLED: 3.0,
    Kind.CUT: 0.0,
    Kind.REFUSED: 3.0,
    Kind.STALLED: 5.0,
    Kind.RESPONSES_LOST: 4.0,
}
"""Maximum seconds of each kind; the two missing kinds are planned separately."""
# The most frequent events in production are the most frequent ones here.
FREQUENT = (Kind.REPLICA_KILLED, Kind.REPLICA_TERMINATED, Kind.CUT, Kind.RESPONSES_LOST)
PER_REPLICA = {Kind.REPLICA_KILLED, Kind.REPLICA_TERMINATED}
UNHEARD_STARTS = (("gateway-1", "temporal"), ("gateway-2", "temporal"))
PER_LINK = {Kind.CUT, Kind.REFUSED, Kind.STALLED, Kind.RESPONSES_LOST}

PROFILES = (
    Profile("psa", {}),
    Profile("psa with billing", {"billingPlan": "Managed Services", "licenseCount": 25, "addons": ["sso", "api"]}),
    Profile("algadesk", {"productCode": "algadesk"}),
    Profile(
        "algadesk with address",
        {"productCode": "algadesk", "billingAddress": {"line1": "Ring 1", "city": "Wien", "countryCode": "AT"}},
    ),
)


@dataclass(frozen=True)
class Waiting:
    """A tenant that a lasting outage delays: it begins some seconds after it, or shortly before."""

    after: tuple[float, float]
    fate: Fate
    is_terminated: bool = False


LATER, JUST_BEFORE = (0.2, 1.0), (-0.15, -0.03)
WAITING = (
    Waiting(LATER, "resume"),
    Waiting(LATER, "cancel"),
    Waiting(LATER, "leave"),
    Waiting(LATER, "cancel", is_terminated=True),
    Waiting(JUST_BEFORE, "resume"),
    Waiting(JUST_BEFORE, "cancel", is_terminated=True),
)


def make_plan(seed: int, *, tenants: int, seconds: float, shape: Shape) -> Plan:
    """Return the plan of a seed; equal plans need equal other arguments, too."""
    random = Random(seed)  # noqa: S311 - repeatable on purpose
    outages = list(_lasting_outages(random, seconds))
    events = sorted([*outages, *_events(random, seconds)], key=lambda event: event.at)
    planned = list(_tenants(random, tenants, seconds, events, outages))
    delayed = len(WAITING) * len(outages)
    planned[delayed:] = with_scenarios(random, planned[delayed:], tenants)
    return Plan(seed, seconds, shape, tuple(planned), tuple(events))


def _lasting_outages(random: Random, seconds: float) -> Iterator[Event]:
    """Return outages that outlast the service's retries, so that operations come to need attention."""
    count = max(1, round(seconds / SECONDS_PER_LASTING_OUTAGE))
    span = seconds / count
    for number in range(count):
        latest = max(0.0, span - LASTING_OUTAGE - CALM)
        yield Event(number * span + random.uniform(0.3, 1.0) * latest, Kind.LASTING_OUTAGE, LASTING_OUTAGE)


def _events(random: Random, seconds: float) -> Iterator[Event]:
    kinds: list[Kind] = []
    for number in range(round(seconds / SECONDS_PER_EVENT)):
        if not kinds:
            kinds = [*LONGEST, *FREQUENT]
            random.shuffle(kinds)
        kind = kinds.pop()
        at = min((number + random.random()) * SECONDS_PER_EVENT, seconds - CALM)
        yield Event(
            at,
            kind,
            round(random.uniform(0.1, 1.0) * LONGEST[kind], 2),
            replica=random.choice(REPLICAS) if kind in PER_REPLICA | PER_LINK else None,
            server=random.choice(SERVERS) if kind in PER_LINK else None,
        )


def _tenants(
    random: Random, count: int, seconds: float, events: list[Event], outages: list[Event]
) -> Iterator[TenantPlan]:
    emails = _Emails(random, count)
    unheard = [event for event in events if event.kind is Kind.RESPONSES_LOST and event.wire in UNHEARD_STARTS]
    for number in range(count):
        tenant = _tenant(random, number, _moment(random, seconds, events), emails.take())
        if number < len(WAITING) * len(outages):
            tenant = _waiting(random, tenant, outages[number % len(outages)], WAITING[number // len(outages)])
        elif unheard and not tenant.is_direct:
            tenant = _unheard(random, tenant, unheard.pop())
        elif number % TENANTS_PER_TERMINATION == 0:
            tenant = replace(tenant, termination=random.uniform(0.0, 0.3), when_parked="cancel")
        yield tenant


def _tenant(random: Random, number: int, at: float, email: tuple[str, bool]) -> TenantPlan:
    is_direct = random.random() < 0.06
    is_keyed = not is_direct and random.random() < 0.75
    is_cancelled = random.random() < 0.2
    return TenantPlan(
        number=number,
        at=at,
        profile=random.choice(PROFILES),
        email=email[0],
        shares_email=email[1],
        password=f"chosen by {number}" if is_direct or random.random() < 0.6 else None,
        tenant_id=UUID(int=random.getrandbits(128), version=4) if random.random() < 0.15 else None,
        key=f"key-{random.getrandbits(64):016x}" if is_keyed else None,
        gateway=random.randrange(2),
        is_direct=is_direct,
        callers=random.choice((1, 1, 1, 2, 3)) if is_keyed else 1,
        repeats=_delays(random, random.choice((0, 0, 1, 2)), 8.0) if is_keyed else (),
        wait=random.choice((None, None, None, 2, 5)),
        cancels=_delays(random, random.randint(1, 3), random.choice((0.05, 0.2, 0.5, 3.0))) if is_cancelled else (),
        patch=random.uniform(0.0, 0.1) if random.random() < 0.2 else None,
        termination=None,
        when_parked=random.choice(("resume", "resume", "resume", "cancel", "leave")),
    )


def _waiting(random: Random, tenant: TenantPlan, outage: Event, role: Waiting) -> TenantPlan:
    """Return the tenant as one that a lasting outage delays: Temporal accepts it while PostgreSQL is away."""
    return replace(
        tenant,
        at=max(0.0, outage.at + random.uniform(*role.after)),
        is_direct=True,
        shares_email=False,
        email=f"waiting-{tenant.number}-{tenant.email}",
        password=f"chosen by {tenant.number}",
        key=None,
        callers=1,
        repeats=(),
        cancels=(),
        termination=random.uniform(0.5, LASTING_OUTAGE / 2) if role.is_terminated else None,
        when_parked=role.fate,
    )


def _unheard(random: Random, tenant: TenantPlan, event: Event) -> TenantPlan:
    """Return the tenant as one whose gateway starts it without a response, and whose caller must not repeat it."""
    return replace(
        tenant,
        at=event.at + random.uniform(0.02, 0.2),
        gateway=UNHEARD_STARTS.index(event.wire),
        key=None,
        callers=1,
        repeats=(),
    )


def _moment(random: Random, seconds: float, events: list[Event]) -> float:
    """Return a random time for half of the tenants, and a time just before an event for the others."""
    if random.random() < 0.5:
        return random.uniform(0.0, seconds - CALM)
    return max(0.0, random.choice(events).at + random.uniform(-random.choice((0.05, 0.4)), 0.05))


def _delays(random: Random, count: int, most: float) -> tuple[float, ...]:
    return tuple(sorted(round(random.uniform(0.0, most), 2) for _ in range(count)))


class _Emails:
    """E-mail addresses; about one tenant in seven shares its address with one or two others."""

    def __init__(self, random: Random, count: int) -> None:
        self._pool: list[tuple[str, bool]] = []
        while len(self._pool) < count:
            together = random.choice((2, 3)) if random.random() < 0.07 else 1
            address = f"Admin-{len(self._pool)}@chaos-{random.getrandbits(32):08x}.example"
            self._pool += [(address, together > 1)] * together
        self._pool = self._pool[:count]
        random.shuffle(self._pool)

    def take(self) -> tuple[str, bool]:
        """Return the next address, and whether others may have it, too."""
        return self._pool.pop()
