"""The report of a run: counts, violations, and the command that repeats it."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from tests.chaos.checks.ledger import Call
from tests.chaos.checks.violations import Wrong
from tests.chaos.plan import Plan
from tests.chaos.run import Outcome
from tests.chaos.scenarios.audit import ScenarioAudit
from tests.chaos.scenarios.plan import Act

WIDTH = 34
MAX_SHOWN = 60


def command(plan: Plan) -> str:
    """Return the command that makes the same plan."""
    return f'make chaos N={len(plan.tenants)} SEED={plan.seed} ARGS="--seconds {plan.seconds:g} --shape {plan.shape}"'


def counts(outcome: Outcome) -> dict[str, Any]:
    """Return the figures, for programs."""
    ledger = outcome.ledger
    operations = [item for item in outcome.evidence.books.operations if item.tenant_name in ledger.by_name()]
    others = [item for item in outcome.evidence.books.operations if not item.is_creation]
    cases = list(ScenarioAudit(ledger, outcome.evidence).cases())
    violations = Counter(violation.kind for violation in outcome.violations)
    return {
        "seed": outcome.plan.seed,
        "shape": outcome.plan.shape,
        "command": command(outcome.plan),
        "seconds": round(outcome.seconds, 1),
        "tenants": len(ledger.entries),
        "requests": len(list(ledger.results)),
        "repeats": sum(max(0, len(entry.creations) - 1) for entry in ledger.entries),
        "results": {
            str(call): dict(sorted(Counter(result.label for result in ledger.results if result.call is call).items()))
            for call in (*Call, *Act)
        },
        "operations": dict(sorted(Counter(operation.status for operation in operations).items())),
        "otherOperations": {
            kind: dict(sorted(Counter(item.status for item in others if item.kind == kind).items()))
            for kind in sorted({item.kind for item in others})
        },
        "scenarios": {
            name: dict(sorted(Counter(case.end for case in cases if case.scenario.name == name).items()))
            for name in sorted({case.scenario.name for case in cases})
        },
        "resumed": outcome.resumed,
        "certificates": len(outcome.evidence.books.lifecycle.certificates),
        "errors": dict(sorted(Counter(item.error_code for item in operations if item.error_code).items())),
        "seen": dict(sorted(outcome.seen.items())),
        "repeatedSteps": sum(operation.repeated_steps for operation in operations),
        "events": {str(kind): count for kind, count in sorted(outcome.events.items())},
        "violations": {str(kind): violations[kind] for kind in Wrong},
        "notes": list(outcome.notes),
    }


def lines(outcome: Outcome) -> Iterator[str]:
    """Return the report for people."""
    figures = counts(outcome)
    yield ""
    yield from _table("chaos", figures["events"])
    yield ""
    yield from _table("asked for", {"tenants": figures["tenants"], "requests": figures["requests"]})
    yield from _rows({"of them the same once more": figures["repeats"]})
    for call, results in figures["results"].items():
        if results:
            yield _row(call, _listed(results))
    yield ""
    yield from _table("creations in the end", figures["operations"])
    yield from _rows({f"for {code}": count for code, count in figures["errors"].items()})
    yield from _rows({"seen retrying": figures["seen"].get("retrying", 0)})
    yield from _rows({"seen in need of attention": figures["seen"].get("needs_attention", 0)})
    yield from _rows({"tries of steps repeated": figures["repeatedSteps"]})
    yield ""
    yield from _table("other operations", {kind: _listed(ends) for kind, ends in figures["otherOperations"].items()})
    yield from _rows({"resumed by the person on call": figures["resumed"], "certificates": figures["certificates"]})
    yield ""
    yield from _table("tenants", {name: _listed(ends) for name, ends in figures["scenarios"].items()})
    yield ""
    yield from _table("found wrong", figures["violations"])
    yield ""
    yield from (f"note: {note}" for note in figures["notes"])
    yield from _violations(outcome)
    yield f"took {figures['seconds']:g} s; the plan comes from the seed alone, what meets what in time does not"
    yield f"again: {figures['command']}"


def _violations(outcome: Outcome) -> Iterator[str]:
    found = sorted(outcome.violations, key=lambda violation: list(Wrong).index(violation.kind))
    for violation in found[:MAX_SHOWN]:
        yield f"WRONG {violation}"
    if len(found) > MAX_SHOWN:
        yield f"… and {len(found) - MAX_SHOWN} more"
    if found:
        yield ""


def _listed(counted: dict[str, int]) -> str:
    return ", ".join(f"{count} {label}" for label, count in counted.items())


def _table(title: str, rows: dict[str, Any]) -> Iterable[str]:
    yield title
    yield from _rows(rows)


def _rows(rows: dict[str, Any]) -> Iterable[str]:
    yield from (_row(name, str(value)) for name, value in rows.items())


def _row(name: str, value: str) -> str:
    return f"  {name:<{WIDTH}} {value:>5}"
