import pytest
import yaml

from activities.alga.confidential import columns
from activities.alga.confidential.columns import (
    Confidential,
    confidential_column,
    confidential_text,
    has_only_secret_rows,
    without_confidential,
)
from tests.support.alga import CATALOGS, catalog


@pytest.mark.parametrize("shape", CATALOGS)
def test_the_list_names_tables_and_columns_of_alga(shape: str) -> None:
    tables = catalog(shape)["tables"]
    listed = columns._listed()
    assert listed.rows <= tables.keys()
    for table, names in {**listed.columns, **listed.keys}.items():
        assert names <= tables[table]["columns"].keys(), table


def test_every_column_that_is_named_like_a_secret_is_one() -> None:
    found = {
        f"{table}.{name}"
        for table, facts in catalog("plain")["tables"].items()
        for name, column in facts["columns"].items()
        if not has_only_secret_rows(table) and confidential_column(table, name, column["type"]) == Confidential.SECRET
    }
    assert {"users.hashed_password", "webhooks.custom_headers", "imap_email_provider_config.refresh_token"} <= found
    assert not any(name.endswith("_at") or "max_tokens" in name for name in found)


@pytest.mark.parametrize(
    ("name", "sql_type", "expected"),
    [
        ("apiKey", "text", Confidential.SECRET),
        ("x-api-key", "text", Confidential.SECRET),
        ("clientsecret", "character varying(10)", Confidential.SECRET),
        ("lease_token", "uuid", Confidential.SECRET),
        ("token_id", "uuid", None),
        ("max_tokens", "integer", None),
        ("token_expires_at", "timestamp with time zone", None),
        ("billing_email", "text", Confidential.PERSONAL),
        ("email_provider", "text", None),
        ("authorization", "text", Confidential.SECRET),
        ("authorization_mode", "text", None),
    ],
)
def test_a_column_is_judged_by_name_and_type(name: str, sql_type: str, expected: Confidential | None) -> None:
    assert confidential_column("unlisted", name, sql_type) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("write to ada@acme.example today", Confidential.EMAIL),
        ("-----BEGIN RSA PRIVATE KEY-----", Confidential.SECRET),
        ("Bearer 0123456789abcdef0123", Confidential.SECRET),
        ("a @ b and @(x)", None),
    ],
)
def test_a_text_is_judged_by_its_form(text: str, expected: Confidential | None) -> None:
    assert confidential_text(text) == expected


def test_only_confidential_values_in_json_are_taken_out() -> None:
    document = {
        "host": "smtp.example",
        "password": "planted",
        "limit": 3,
        "credentials": {"user": "planted", "more": ["planted", 7, True]},
        "schema": {"token": {"type": "string", "description": "kept", "default": "planted"}},
        "call": {"$secret": "NAME_OF_ONE"},
        "to": ["ada@acme.example", "everyone"],
        "ada@acme.example": 1,
        "apiKey": "",
    }
    cleaned, reasons = without_confidential(document)
    assert reasons == {Confidential.SECRET, Confidential.EMAIL}
    assert "planted" not in yaml.safe_dump(cleaned)
    assert cleaned == {
        "host": "smtp.example",
        "password": None,
        "limit": 3,
        "credentials": {"user": None, "more": [None, None, True]},
        "schema": {"token": {"type": "string", "description": "kept", "default": None}},
        "call": {"$secret": "NAME_OF_ONE"},
        "to": [None, "everyone"],
        "apiKey": "",
    }
