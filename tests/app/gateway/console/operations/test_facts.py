from datetime import UTC, datetime

from app.gateway.console.operations.facts import Fact, facts


def test_a_document_becomes_readable_facts() -> None:
    document = {
        "tenantId": "t",
        "createdAt": "2026-01-31T12:00:00Z",
        "plan": None,
        "addons": ["ai", "sso"],
        "customerTracking": {"clientReused": False, "contacts": [{"email": "a@b.example"}]},
    }

    assert facts(document) == (
        Fact("tenantId", "t", is_id=True),
        Fact("createdAt", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        Fact("addons", "ai, sso"),
        Fact(
            "customerTracking",
            (
                Fact("clientReused", "No"),
                Fact("contacts", (Fact("1", (Fact("email", "a@b.example"),)),)),
            ),
        ),
    )


def test_a_text_that_only_has_the_name_of_a_time_is_shown_as_it_is() -> None:
    assert facts({"createdAt": "soon"}) == (Fact("createdAt", "soon"),)
