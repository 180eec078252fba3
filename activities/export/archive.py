"""The archive of one tenant: its manifest, which describes every part, and the names of its files."""

import hmac
import re
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Final, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from activities.canonical_json import canonical, parse_document

FORMAT_VERSION: Final = 1
MANIFEST: Final = "manifest.json"
PARTS: Final = "parts"
MAX_MANIFEST_BYTES: Final = 16 << 20

Hexadecimal = Annotated[str, Field(pattern="^[0-9a-f]{64}$", examples=["0" * 64])]
Count = Annotated[int, Field(ge=0)]


class ManifestInvalidError(Exception):
    """A manifest can't be read; the message says why."""


class Mask(StrEnum):
    """What a masked archive has in the place of a secret."""

    NULL = "null"
    PLACEHOLDER = "placeholder"
    CONSTANT = "constant"
    KEYS = "keys"


class _Model(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        serialize_by_alias=True,
        frozen=True,
        hide_input_in_errors=True,
    )


class ArchivedColumn(_Model):
    """A column of a part; generated columns are not archived."""

    name: str
    type: str = Field(description="The type as PostgreSQL shows it.", examples=["character varying(255)"])


class MaskedColumn(_Model):
    """A column whose secrets are masked."""

    name: str
    mask: Mask = Field(
        description="`null`, a `placeholder` that differs from row to row, a `constant`, or null in the place of the"
        " secrets within JSON (`keys`)."
    )


class Part(_Model):
    """The file with a table's rows."""

    path: str = Field(description="The path within the archive.", examples=["parts/users.csv.zst"])
    bytes: Count
    sha256: Hexadecimal
    content_bytes: Count = Field(description="The size of the CSV before compression.")
    content_sha256: Hexadecimal = Field(description="The hash of the CSV before compression.")


class ArchivedTable(_Model):
    """A table that can hold rows of the tenant."""

    name: str
    tenant_column: str | None = Field(description="The column that names the tenant; null for a child table.")
    columns: tuple[ArchivedColumn, ...]
    rows: Count
    part: Part | None = Field(description="Null if the archive has no row of the table.")
    masked: tuple[MaskedColumn, ...] = ()
    dropped_rows: Count = Field(default=0, description="Rows that were left out, because they are credentials.")
    dropped_because: str | None = None


class Totals(_Model):
    """Sums over all tables; `tables` counts those with rows."""

    tables: Count
    rows: Count
    bytes: Count
    content_bytes: Count


class Manifest(_Model):
    """What an archive holds."""

    format_version: int = FORMAT_VERSION
    export_id: str
    tenant_id: UUID
    tenant_name: str | None
    product: str | None
    created_at: datetime = Field(description="The moment of the snapshot.")
    product_version: str = Field(description="The version of alga-tenants that wrote the archive.")
    requested_by: str | None
    masked: bool = Field(description="Whether secrets were masked.")
    schema_fingerprint: Hexadecimal = Field(description="The hash of the structure of all tables of the tenant.")
    tables: tuple[ArchivedTable, ...]
    masked_unlisted: tuple[str, ...] = Field(
        description="Columns that were masked because of their names alone, as `table.column`."
    )
    totals: Totals
    mac: Hexadecimal | None = Field(
        default=None, description="HMAC-SHA-256 of the manifest with null here; null if the writer had no key."
    )

    @property
    def text(self) -> str:
        """The content of `manifest.json`."""
        return canonical(self.model_dump(mode="json"))

    @property
    def sha256(self) -> str:
        """The hash of `manifest.json`."""
        return sha256(self.text.encode()).hexdigest()

    def table(self, name: str) -> ArchivedTable | None:
        """Return the table of this name."""
        return next((table for table in self.tables if table.name == name), None)

    def signed(self, key: bytes) -> Self:
        """Return the manifest with its MAC."""
        return self.model_copy(update={"mac": self._mac(key)})

    def has_mac_of(self, key: bytes) -> bool:
        """Return whether the manifest is as it was signed with the key."""
        return self.mac is not None and hmac.compare_digest(self.mac, self._mac(key))

    def _mac(self, key: bytes) -> str:
        unsigned = self.model_copy(update={"mac": None})
        return hmac.digest(key, unsigned.text.encode(), sha256).hex()


def parse_manifest(file: bytes) -> Manifest:
    """Return the manifest of a file; raise `ManifestInvalidError`."""
    try:
        document = parse_document(file.decode())
        version = document.get("formatVersion")
        if version != FORMAT_VERSION:
            raise ManifestInvalidError(f"the manifest has format version {version!r}, not {FORMAT_VERSION}")
        manifest = Manifest.model_validate(document)
    except ValidationError as error:
        places = sorted({".".join(map(str, item["loc"])) for item in error.errors(include_input=False)})
        raise ManifestInvalidError(f"the manifest has no valid {', '.join(places[:5])}") from None
    except (ValueError, RecursionError) as error:
        raise ManifestInvalidError(f"the manifest can't be read: {error}") from None
    if manifest.text.encode() != file:
        # Another text would have another hash than the one that was recorded.
        raise ManifestInvalidError("the manifest is not written in its canonical form")
    return manifest


def part_path(table: str) -> str:
    """Return the path of a table's part within an archive."""
    name = re.sub(r"[^A-Za-z0-9_]", "-", table)
    if name != table:
        name += f"-{sha256(table.encode()).hexdigest()[:8]}"
    return f"{PARTS}/{name}.csv.zst"


def export_folder(tenant_id: UUID, export_id: str) -> str:
    """Return the folder of all attempts of an export within the store."""
    return f"{tenant_id}/{export_id}"


def archive_folder(tenant_id: UUID, export_id: str, attempt: str) -> str:
    """Return the folder of an archive within the store. Each attempt of an export has its own."""
    return f"{export_folder(tenant_id, export_id)}/{attempt}"


def totals_of(tables: Iterable[ArchivedTable]) -> Totals:
    """Return the sums over all tables."""
    with_rows = [(table, table.part) for table in tables if table.part is not None]
    return Totals(
        tables=len(with_rows),
        rows=sum(table.rows for table, _ in with_rows),
        bytes=sum(part.bytes for _, part in with_rows),
        content_bytes=sum(part.content_bytes for _, part in with_rows),
    )
