import pytest

from app.gateway.console.rendering import _TEMPLATES


@pytest.mark.parametrize(
    ("name", "words"),
    [("needs_attention", "Needs attention"), ("tenantId", "Tenant id"), ("tenant.created", "Tenant created")],
)
def test_a_name_of_the_api_is_shown_aswords(name: str, words: str) -> None:
    assert _TEMPLATES.filters["words"](name) == words


@pytest.mark.parametrize(
    ("detail", "sentence"),
    [
        ("must have at least 8 characters", "Password must have at least 8 characters"),
        ("another user has it already", "Another user has it already"),
    ],
)
def test_an_error_names_its_field_if_it_begins_with_a_verb(detail: str, sentence: str) -> None:
    assert _TEMPLATES.filters["about"](detail, "Password") == sentence
