"""What must hold for the rows of tenants with a scenario, and for what proves a deletion."""

from collections.abc import Iterator

from tests.chaos.checks.violations import Violation, Wrong
from tests.chaos.scenarios.case import COMPLETED, ScenarioCase
from tests.chaos.scenarios.evidence import Certificate
from tests.chaos.scenarios.plan import Act, End


def the_end_is_as_planned(case: ScenarioCase) -> Iterator[Violation]:
    """Check that the tenant is in the end as its callers wanted."""
    if not case.entry.is_played:
        yield case.wrong(Wrong.UNSETTLED, "its callers still ask")
    elif case.end not in case.scenario.ends:
        yield case.wrong(Wrong.LOST, f"the tenant is {case.end}, not {' or '.join(sorted(case.scenario.ends))}")


def all_rows_or_none(case: ScenarioCase) -> Iterator[Violation]:
    """Check that a deleted tenant has no rows, and any other one the same as before, byte for byte."""
    now, before = case.rows.counts, case.before.counts
    lacking = {table: count - now.get(table, 0) for table, count in before.items() if now.get(table, 0) < count}
    if now and lacking:
        yield case.wrong(Wrong.PARTIAL, f"{case.end}, and it lacks rows: {lacking}")
    if case.end is End.DELETED:
        if now:
            yield case.wrong(Wrong.LEFT, f"deleted, and has rows: {now}")
        return
    if not now:
        yield case.wrong(Wrong.LOST, f"{case.end}, and has no rows")
    elif changed := case.rows.changed_since(case.before, is_suspended=case.end is End.SUSPENDED):
        yield case.wrong(Wrong.CHANGED, f"{case.end}, and other rows than before are in {', '.join(changed)}")


def a_suspended_tenant_is_suspended(case: ScenarioCase) -> Iterator[Violation]:
    """Check that nothing goes on in a suspended tenant, and that our record agrees."""
    books = case.evidence.books.lifecycle
    if case.end is End.SUSPENDED and (active := books.active.get(case.entry.tenant_id)):
        yield case.wrong(Wrong.LOST, f"suspended, but {active}")
    # A restore of the export brings back the suspended tenant, which a person then reactivates by the record.
    is_exported = any(row.is_done and row.export_id is not None for row in case.records)
    expected = case.end is End.SUSPENDED or (case.end is End.DELETED and is_exported)
    for table, tenants in books.suspended.items():
        if (case.entry.tenant_id in tenants) != expected:
            yield case.wrong(Wrong.UNTRUE, f"{case.end}, and {table} has {'no' if expected else 'a'} row of it")


def each_deletion_has_its_row(case: ScenarioCase) -> Iterator[Violation]:
    """Check that each deletion has a row that says how it ended, in our table and in Alga's."""
    for operation in case.deletions:
        rows = [row for row in case.records if row.workflow_id == operation.workflow_id]
        is_done = operation.status == COMPLETED
        # One that was undone before its first step has none.
        if len(rows) > 1 or (is_done and not rows):
            yield case.wrong(Wrong.DOUBLED, f"{operation.workflow_id} has {len(rows)} rows in deletions")
        if any((row.is_done, row.is_undone) != (is_done, not is_done) for row in rows):
            yield case.wrong(Wrong.UNTRUE, f"{operation.workflow_id} is {operation.status}, its row {rows[0]}")
    shown = case.evidence.books.lifecycle.records.get(case.entry.tenant_id)
    expected = {None, "deleted"} if case.end is End.DELETED else {"rolled_back" if case.records else None}
    if shown not in expected:
        yield case.wrong(Wrong.UNTRUE, f"{case.end}, and Alga's record is {shown}")


def a_deletion_is_proven(case: ScenarioCase) -> Iterator[Violation]:
    """Check that a deleted tenant has exactly one deletion, event and right certificate, and any other one none."""
    expected = 1 if case.end is End.DELETED else 0
    purges = case.evidence.books.lifecycle.purges.count(case.entry.tenant_id)
    for name, number in (
        ("deletions that are done", sum(row.is_done for row in case.records)),
        ("certificates", len(case.certificates)),
        ("purges in the audit trail", purges),
    ):
        if number != expected:
            yield case.wrong(Wrong.UNPROVEN, f"{case.end}, and has {number} {name}")
    for certificate in case.certificates:
        yield from _certificate_is_right(case, certificate)


def _certificate_is_right(case: ScenarioCase, certificate: Certificate) -> Iterator[Violation]:
    if not certificate.is_genuine:
        yield case.wrong(Wrong.UNPROVEN, "its certificate was changed")
    if not certificate.is_in_trail:
        yield case.wrong(Wrong.UNPROVEN, "the audit trail has no purge at the place that its certificate names")
    removed, before = certificate.rows_removed, case.before.counts
    if removed != before or certificate.document["rowsRemaining"] != 0:
        differing = {
            table: (removed.get(table, 0), before.get(table, 0))
            for table in removed.keys() | before.keys()
            if removed.get(table) != before.get(table)
        }
        yield case.wrong(Wrong.UNPROVEN, f"its certificate counts other rows than there were: {differing}")
    is_export_wanted = any(step.act is Act.DELETE and step.body.get("export") for step in case.scenario.steps)
    export_id = certificate.document["exportId"]
    if is_export_wanted != (export_id is not None) or (export_id and export_id not in _exports(case)):
        yield case.wrong(Wrong.UNPROVEN, f"its certificate names the export {export_id}")


def _exports(case: ScenarioCase) -> frozenset[str]:
    return case.evidence.books.lifecycle.exports
