"""The rules for rows of any table in a blueprint."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from activities.alga.blueprints.model import BrokenRuleError, TableSection
from activities.alga.blueprints.symbols import (
    NOW,
    PROVISIONED,
    TENANT,
    TODAY,
    Name,
    SymbolError,
    is_number,
    names_in,
    texts_in,
    whole_name,
)

WRITTEN_FROM_REQUEST: Final = frozenset(
    {
        "apple_iap_subscriptions",
        "client_locations",
        "clients",
        "pending_tenant_deletions",
        "stripe_customers",
        "stripe_subscriptions",
        "tenant_addons",
        "tenant_companies",
        "tenant_email_settings",
        "tenants",
        "user_roles",
        "users",
    }
)
"""Tables whose rows come from a request or say who may sign in; no blueprint has rows of them."""


def check_sections(sections: Mapping[str, TableSection], known: Collection[Name]) -> None:
    """Check columns and references; `known` are the names of all other rows. Raises `BrokenRuleError`."""
    names = {*known, *PROVISIONED, TENANT, NOW, TODAY, *row_names(sections)}
    for table, section in sections.items():
        path = ("rows", table)
        if table in WRITTEN_FROM_REQUEST:
            raise BrokenRuleError(path, "is written from each request, so a blueprint can't have rows of it")
        if section.tenant_column in section.columns:
            raise BrokenRuleError(
                (*path, "columns", section.tenant_column), "names the tenant, and is always written"
            )
        for number, column in enumerate(section.later):
            if column not in section.columns:
                raise BrokenRuleError((*path, "later", number), f"{column} is not in columns")
        for name, row in section.rows.items():
            _check_row(section, row, (*path, "rows", name), names)
            written = [column for column in section.later if column in row]
            for column in (section.id_column or "id_column", *written) if written else ():
                if whole_name(row.get(column)) is None:
                    reason = "must be a reference to a row and nothing else, because references are written later"
                    raise BrokenRuleError((*path, "rows", name, column), reason)


def row_names(sections: Mapping[str, TableSection]) -> Iterator[Name]:
    """Yield the names of all rows, and those of their further ids, `table/row/column`."""
    for table, section in sections.items():
        for row, values in section.rows.items():
            yield table, row
            yield from ((table, row, column) for column in values)


def _check_row(section: TableSection, row: Mapping[str, Any], path: tuple[str, ...], known: Collection[Name]) -> None:
    for column, value in row.items():
        if column not in section.columns:
            raise BrokenRuleError((*path, column), "is not in columns")
        for inner, text in texts_in(value):
            place = (*path, column, *inner)
            if "\0" in text:
                raise BrokenRuleError(place, "contains the character NUL, which no text in PostgreSQL can hold")
            try:
                names = names_in(text)
            except SymbolError as error:
                raise BrokenRuleError(place, str(error)) from None
            for name in names:
                if not is_number(name) and name not in known:
                    raise BrokenRuleError(place, f"there is no row @({'/'.join(name)})")
