import json
from datetime import date
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Column, MetaData, Table, Text

from activities.alga.blueprints.blueprint import load_blueprints
from activities.alga.bulk_insert import to_json
from activities.alga.ids import derived_id
from activities.alga.notifications import SOURCES, NotificationDefault, notification_settings
from activities.alga.row_templates import CreationDay, DerivedId, RowTemplates

TODAY = date(2026, 1, 2)
things = Table("things", MetaData(), Column("id", Text), Column("day", Text), Column("words", Text))


def comparable(value: Any) -> Any:
    """Ids without their hyphens, which PostgreSQL takes either way."""
    try:
        return UUID(value).hex if isinstance(value, str) else value
    except ValueError:
        return value


@pytest.mark.parametrize("product", ["psa", "algadesk"])
def test_a_blueprints_documents_hold_its_rows(product: str) -> None:
    blueprint = load_blueprints()[product]
    for tenant_id in (uuid4(), uuid4()):
        documents = blueprint.documents(tenant_id, TODAY)
        rows = blueprint.rows(tenant_id, TODAY)
        assert [(one.table, one.columns) for one in documents] == [(table, tuple(of[0])) for table, of in rows]
        for one, (_, expected) in zip(documents, rows, strict=True):
            found = [{name: comparable(value) for name, value in row.items()} for row in json.loads(one.document)]
            wanted = [
                {name: comparable(value) for name, value in row.items()} for row in json.loads(to_json(expected))
            ]
            assert found == wanted


def test_gaps_are_filled_wherever_they_are() -> None:
    rows: list[dict[str, Any]] = [
        {"id": DerivedId(("a",)), "day": CreationDay(), "words": 'with "quotes" and {braces}'},
        {"id": DerivedId(("b", "c")), "day": None, "words": DerivedId(("a",))},
    ]
    tenant_id = uuid4()
    [filled] = RowTemplates([(things, rows)]).fill(tenant_id, TODAY)
    a, b = derived_id(tenant_id, "a").hex, derived_id(tenant_id, "b", "c").hex
    assert json.loads(filled.document) == [
        {"id": a, "day": "2026-01-02", "words": 'with "quotes" and {braces}'},
        {"id": b, "day": None, "words": a},
    ]


def test_rows_of_different_columns_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in their columns"):
        RowTemplates([(things, [{"id": "one"}, {"day": "two"}])])


def test_every_notification_is_copied_with_its_switches() -> None:
    first, *_, last = SOURCES
    defaults = (
        NotificationDefault(first.settings.name, 7, is_enabled=True, is_default_enabled=False),
        NotificationDefault(last.settings.name, 7, is_enabled=False, is_default_enabled=True),
        NotificationDefault(first.settings.name, 9, is_enabled=True, is_default_enabled=True),
    )
    tenant_id = uuid4()
    found = {rows.table: json.loads(rows.document) for rows in notification_settings(tenant_id, defaults)}
    key = f"{first.settings.name.removesuffix('s')}_id"
    assert found[first.settings] == [
        {
            key: derived_id(tenant_id, first.settings.name, str(number)).hex,
            first.reference: number,
            "is_enabled": True,
            "is_default_enabled": default,
        }
        for number, default in ((7, False), (9, True))
    ]
    assert [row["is_default_enabled"] for row in found[last.settings]] == [True]
    assert len(found) == 2
