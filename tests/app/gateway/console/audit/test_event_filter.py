from datetime import UTC, datetime
from uuid import UUID

import pytest

from activities.audit.events import Action, Outcome
from app.gateway.audit.listing import EventFilter
from app.gateway.console.audit.routes import ACTIONS, FIELDS, event_filter
from app.gateway.console.forms import Form
from app.gateway.http.problems.request_problems import InvalidRequestError

TENANT = "9dacffa4-3508-4f8a-bb8e-f47f304ee092"


def test_fields_become_the_filter_of_the_api_with_times_in_utc() -> None:
    form = Form(
        {
            "action": "session.open",
            "outcome": "accepted",
            "tenantId": f" {TENANT} ",
            "occurredAfter": "2026-01-31T12:30",
            "occurredBefore": "2026-01-31T12:30:00+02:00",
        }
    )
    assert event_filter(form) == EventFilter(
        actions=(Action.SESSION_OPEN,),
        outcomes=(Outcome.ACCEPTED,),
        tenant_id=UUID(TENANT),
        occurred_after=datetime(2026, 1, 31, 12, 30, tzinfo=UTC),
        occurred_before=datetime(2026, 1, 31, 10, 30, tzinfo=UTC),
    )


def test_an_empty_form_shows_everything() -> None:
    assert event_filter(Form()) == EventFilter()


@pytest.mark.parametrize("field", FIELDS)
def test_a_fault_stands_at_its_field(field: str) -> None:
    form = Form({field: "\0" * 2000})
    with pytest.raises(InvalidRequestError) as raised:
        event_filter(form)
    assert set(form.rejected(raised.value, fields=FIELDS).faults) == {field}


def test_every_action_can_be_chosen() -> None:
    assert sorted(name for _, names in ACTIONS for name, _ in names) == sorted(Action)
