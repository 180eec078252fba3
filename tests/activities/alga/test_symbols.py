"""References in the rows of blueprints: whatever a text holds, it comes back as it was."""

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Column, MetaData, Table, Text

from activities.alga.blueprints.model import TableSection
from activities.alga.blueprints.section_rows import SectionRows
from activities.alga.blueprints.symbols import (
    SymbolError,
    escape,
    names_in,
    reference,
    replace,
    whole_name,
)
from activities.alga.blueprints.yaml_files import YamlFile
from activities.alga.ids import derived_id
from activities.alga.row_templates import DerivedId, RowTemplates
from activities.capture.file import blueprint_text
from tests.activities.capture.conftest import AT

# PostgreSQL's texts hold any character but NUL and half surrogate pairs.
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])) | st.from_regex(
    r"[@()%/u0\\$\{\}'\"0-9]{0,20}", fullmatch=True
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
things = Table("things", MetaData(), Column("id", Text))


@given(TEXTS)
def test_an_escaped_text_refers_to_nothing_and_comes_back(text: str) -> None:
    assert names_in(escape(text)) == []
    assert replace(escape(text), "/".join) == text
    assert whole_name(escape(text)) is None


@given(st.lists(TEXTS, min_size=1, max_size=4), TEXTS, TEXTS)
def test_a_name_of_any_characters_comes_back_from_within_a_text(name: list[str], before: str, after: str) -> None:
    text = f"{escape(before)}{reference(('row', *name))}{escape(after)}"
    assert replace(text, lambda _: "") == before + after
    assert names_in(text) == [("row", *name)]


@given(TEXTS, TEXTS)
def test_a_gap_is_filled_between_any_texts(before: str, after: str) -> None:
    templates = RowTemplates()
    templates.add(things, [{"id": f"{before}{templates.mark(DerivedId(('a',), dashed=True))}{after}"}])
    tenant_id = uuid4()
    [rows] = templates.fill(tenant_id)
    assert json.loads(rows.document) == [{"id": f"{before}{derived_id(tenant_id, 'a')}{after}"}]


@given(JSON)
def test_a_value_survives_the_file(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    file = tmp_path_factory.getbasetemp() / "value.yaml"
    file.write_text(blueprint_text({"product": "psa", "value": value}), encoding="utf-8")
    assert YamlFile(file).document["value"] == value


@pytest.mark.parametrize("digits", ["1.10", "0.1000000000000000055511151231257827", "-12345678901234567890.5"])
def test_a_number_keeps_its_digits(digits: str) -> None:
    section = TableSection(columns={"value": "jsonb"}, rows={"1": {"value": [reference(("number", digits)), "1"]}})
    [statement] = SectionRows({"things": section}).statements(uuid4(), AT)
    assert statement.values["rows"] == f'[{{"value":[{digits},"1"]}}]'


@pytest.mark.parametrize("text", ["@(open", "@((x)", "@(number/1) and more", "@(number/x)"])
def test_a_reference_that_can_not_be_read_is_refused(text: str) -> None:
    with pytest.raises(SymbolError):
        names_in(text)


def test_a_file_of_a_megabyte_is_read(tmp_path: Path) -> None:
    value = [{"step": number, "text": "x" * 80} for number in range(10_000)]
    file = tmp_path / "large.yaml"
    file.write_text(blueprint_text({"product": "psa", "value": value}), encoding="utf-8")
    assert YamlFile(file).document["value"] == value
