"""Puts statuses, taxes, folders and asset types into the sections that a blueprint has for them."""

from collections import Counter
from datetime import date
from decimal import Decimal
from typing import Any, get_args

from pydantic import TypeAdapter

from activities.alga.blueprints.model import BlueprintFile, Folder, Status, TaxRate, TaxRegion
from activities.capture.section_tables import IDENTIFIER, SHORT, SectionTables, grouped, is_valid

_STATUS_KINDS = get_args(get_args(BlueprintFile.model_fields["statuses"].annotation)[0])


class SettingsSections:
    """The sections for settings; `created` is the day of the tenant's creation, on which its tax rates begin."""

    def __init__(self, tables: SectionTables, created: date) -> None:
        self._tables = tables
        self._created = created.isoformat()

    def document(self) -> dict[str, Any]:
        """Return the sections that are not empty."""
        sections = {
            "statuses": self._statuses(),
            "tax_regions": self._tax_regions(),
            "tax_rates": self._tax_rates(),
            "folders": self._folders(),
            "asset_types": self._asset_types(),
        }
        return {name: content for name, content in sections.items() if content}

    def _statuses(self) -> dict[str, Any]:
        found = {}
        for kind, rows in grouped(self._tables.rows("statuses"), "status_type").items():
            rows.sort(key=lambda row: (row["order_number"], row["status_id"]))
            parts = [
                _without_defaults(
                    name=row["name"],
                    color=row["color"],
                    icon=row["icon"],
                    closed=row["is_closed"],
                    default=row["is_default"],
                )
                for row in rows
            ]
            fits = (
                kind in _STATUS_KINDS
                and all(row["item_type"] == kind for row in rows)
                and [row["order_number"] for row in rows] == list(range(1, len(rows) + 1))
                and len({row["name"] for row in rows}) == len(rows)
                and sum(row["is_default"] for row in rows) == 1
                and all(is_valid(TypeAdapter(Status), part) for part in parts)
            )
            if not fits:
                self._tables.spare("statuses", rows)
                continue
            found[kind] = parts
            for row in rows:
                self._tables.keep("statuses", row, "status_id", "status", kind, row["name"])
        return found

    def _tax_regions(self) -> dict[str, Any]:
        found = {}
        for row in sorted(self._tables.rows("tax_regions"), key=lambda row: row["region_code"]):
            part = {"region_name": row["region_name"]}
            if is_valid(SHORT, row["region_code"]) and is_valid(TypeAdapter(TaxRegion), part):
                found[row["region_code"]] = part
                self._tables.keep("tax_regions", row)
            else:
                self._tables.spare("tax_regions", [row])
        return found

    def _tax_rates(self) -> dict[str, Any]:
        regions = {row["region_code"] for row in self._tables.fitting["tax_regions"]}
        rows = list(self._tables.rows("tax_rates"))
        names = Counter(row["description"] for row in rows)
        found = {}
        for row in sorted(rows, key=lambda row: str(row["description"])):
            name = row["description"]
            percentage = Decimal(str(row["tax_percentage"])).normalize()
            part = {"region_code": row["region_code"], "tax_percentage": _plain(percentage)}
            fits = (
                names[name] == 1
                and row["start_date"] == self._created
                and row["region_code"] in regions
                and is_valid(SHORT, name)
                and is_valid(TypeAdapter(TaxRate), part)
            )
            if fits:
                found[name] = part
                self._tables.keep("tax_rates", row, "tax_rate_id", "tax_rate", name)
            else:
                self._tables.spare("tax_rates", [row])
        return found

    def _folders(self) -> dict[str, Any]:
        table = "document_default_folders"
        found = {}
        for entity, rows in grouped(self._tables.rows(table), "entity_type").items():
            rows.sort(key=lambda row: (row["sort_order"], row["default_folder_id"]))
            paths = [row["folder_path"] for row in rows]
            fits = (
                is_valid(IDENTIFIER, entity)
                and [row["sort_order"] for row in rows] == list(range(len(rows)))
                and len(set(paths)) == len(paths)
                and all(row["folder_name"] == row["folder_path"].rpartition("/")[2] for row in rows)
                and all(path.rpartition("/")[0] in {"", *paths[:number]} for number, path in enumerate(paths))
                and all(is_valid(TypeAdapter(Folder), path) for path in paths)
            )
            if not fits:
                self._tables.spare(table, rows)
                continue
            found[entity] = [
                {"path": row["folder_path"], "client_visible": True}
                if row["is_client_visible"]
                else row["folder_path"]
                for row in rows
            ]
            for row in rows:
                self._tables.keep(table, row, "default_folder_id", "folder", entity, row["folder_path"])
        return found

    def _asset_types(self) -> dict[str, Any]:
        table = "asset_type_registry"
        rows = sorted(self._tables.rows(table), key=lambda row: (row["display_order"], row["type_id"]))
        fits = (
            all(row["is_builtin"] for row in rows)
            and [row["display_order"] for row in rows] == list(range(len(rows)))
            and len({row["slug"] for row in rows}) == len(rows)
            and all(is_valid(IDENTIFIER, row["slug"]) and is_valid(SHORT, row["name"]) for row in rows)
        )
        if not fits:
            self._tables.spare(table, rows)
            return {}
        for row in rows:
            self._tables.keep(table, row, "type_id", "asset_type", row["slug"])
        return {row["slug"]: row["name"] for row in rows}


def _without_defaults(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None and value is not False}


def _plain(number: Decimal) -> int | float:
    return int(number) if number == number.to_integral_value() else float(number)
