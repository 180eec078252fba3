from pathlib import Path

import pytest

from activities.alga.blueprints.yaml_files import BlueprintError, YamlFile


def read(folder: Path, content: str) -> YamlFile:
    file = folder / "file.yaml"
    file.write_text(content)
    return YamlFile(file)


def test_the_document_is_what_the_file_says(tmp_path: Path) -> None:
    assert read(tmp_path, "a:\n  - 1\n  - yes\nb: {c: 0.5, d: null}\n").document == {
        "a": [1, True],
        "b": {"c": 0.5, "d": None},
    }


def test_an_error_is_on_the_line_of_the_key_or_of_the_list_item(tmp_path: Path) -> None:
    file = read(tmp_path, "a:\n\n  b:\n    - one\n    - two\n")
    assert str(file.error(("a",), "why")).endswith("file.yaml:1: a: why")
    assert str(file.error(("a", "b"), "why")).endswith("file.yaml:3: a.b: why")
    assert str(file.error(("a", "b", 1), "why")).endswith("file.yaml:5: a.b.1: why")


def test_an_error_about_something_missing_is_on_the_line_around_it(tmp_path: Path) -> None:
    file = read(tmp_path, "a:\n  b: {}\n")
    assert str(file.error(("a", "b", "c"), "is missing")).endswith("file.yaml:2: a.b.c: is missing")


def test_only_the_part_of_a_path_that_exists_is_kept(tmp_path: Path) -> None:
    file = read(tmp_path, "a:\n  b: [x]\n")
    assert file.existing(("a", "literal['all']", "b", 0, "[key]", 7)) == ("a", "b", 0)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a: 1\na: 2\n", ":2: a: is given twice"),
        ("a:\n  - b: 1\n    b: 2\n", ":3: a.0.b: is given twice"),
        ("a: [1\n", ":2: not valid YAML"),
        ("a: 1\n---\nb: 2\n", "not valid YAML"),
        ("a: !!python/object:os.system x\n", ":1: a: is a "),
        ("a: !own x\n", ":1: a: is a !own"),
        ("a: 1\nb: 2026-01-02\n", ":2: b: is a timestamp; put text in quotes"),
        ("a: 2026-13-45\n", ":1: a: is a timestamp"),
        ("? [a, b]\n: 1\n", ":1: a key must be a single value"),
        ("a: &a [*a]\n", "an alias refers to itself"),
        ("a: !!int x\n", "can't be read"),
        ("a: \x00\n", "can't be read"),
    ],
)
def test_what_is_not_plain_yaml_is_refused_with_its_place(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(BlueprintError) as caught:
        read(tmp_path, content)
    assert str(caught.value).startswith(str(tmp_path / "file.yaml"))
    assert said in str(caught.value)


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file.yaml"
    file.write_bytes("a: é\n".encode("latin-1"))
    with pytest.raises(BlueprintError, match="can't be read"):
        YamlFile(file)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BlueprintError, match="can't be read"):
        YamlFile(tmp_path / "nothing.yaml")
