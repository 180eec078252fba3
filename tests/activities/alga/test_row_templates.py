import json
from datetime import date
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Column, MetaData, Table, Text

from activities.alga.ids import derived_id
from activities.alga.notifications import SOURCES, NotificationDefault, notification_settings
from activities.alga.row_templates import CreationDay, DerivedId, RowTemplates

TODAY = date(2026, 1, 2)
things = Table("things", MetaData(), Column("id", Text), Column("day", Text), Column("words", Text))


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
