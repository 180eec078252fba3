"""Parses YAML files, with errors that name the line."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

PathItem = str | int

# Other types, such as dates, are refused: callers don't expect them.
PLAIN_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("map", "seq", "str", "int", "float", "bool", "null")}

# The same in C, which reads a megabyte in a quarter of the time.
LOADER: type[yaml.SafeLoader | yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class BlueprintError(Exception):
    """A blueprint file can't be used; the message gives file, line, path and reason."""


class YamlFile:
    """A parsed YAML file; `document` is its content."""

    def __init__(self, file: Path) -> None:
        """Read and parse; raises `BlueprintError` for invalid YAML, duplicate keys, and types that aren't plain."""
        self._file = file
        try:
            self._root = yaml.compose(file.read_text(encoding="utf-8"), Loader=LOADER)
            self._check(self._root, ())
            loader = LOADER("")
            self.document: Any = loader.construct_document(self._root) if self._root else None
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else None
            raise self._error(line, (), f"not valid YAML: {error.problem}") from None
        except RecursionError:
            raise self._error(None, (), "an alias refers to itself") from None
        except (yaml.YAMLError, ValueError, OSError) as error:
            raise self._error(None, (), f"can't be read: {error}") from None

    def error(self, path: Sequence[PathItem], reason: str) -> BlueprintError:
        """Return an error about the value at the path, or about the nearest existing one that contains it."""
        node, line = self._root, 1
        for item in path:
            found = self._child(node, item)
            if found is None:
                break
            line, node = found
        return self._error(line, path, reason)

    def existing(self, path: Sequence[PathItem]) -> tuple[PathItem, ...]:
        """Return the path without the items that the file does not have."""
        node, kept = self._root, []
        for item in path:
            if found := self._child(node, item):
                node = found[1]
                kept.append(item)
        return tuple(kept)

    @staticmethod
    def _child(node: yaml.Node | None, item: PathItem) -> tuple[int, yaml.Node] | None:
        """Return the line of the item, which is that of its key if it has one, and its value."""
        if isinstance(node, yaml.MappingNode):
            pairs = (pair for pair in node.value if pair[0].value == str(item))
            return next(((key.start_mark.line + 1, value) for key, value in pairs), None)
        if isinstance(node, yaml.SequenceNode) and isinstance(item, int) and item < len(node.value):
            return node.value[item].start_mark.line + 1, node.value[item]
        return None

    def _check(self, node: yaml.Node | None, path: tuple[PathItem, ...]) -> None:
        if node is not None and node.tag not in PLAIN_TAGS:
            kind = node.tag.rpartition(":")[2]
            raise self._error(node.start_mark.line + 1, path, f"is a {kind}; put text in quotes")
        if isinstance(node, yaml.MappingNode):
            self._check_mapping(node, path)
        elif isinstance(node, yaml.SequenceNode):
            for number, value in enumerate(node.value):
                self._check(value, (*path, number))

    def _check_mapping(self, node: yaml.MappingNode, path: tuple[PathItem, ...]) -> None:
        seen = set()
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise self._error(line, path, "a key must be a single value")
            if key.value in seen:
                raise self._error(line, (*path, key.value), "is given twice")
            seen.add(key.value)
            self._check(value, (*path, key.value))

    def _error(self, line: int | None, path: Sequence[PathItem], reason: str) -> BlueprintError:
        place = f"{self._file}:{line}" if line else str(self._file)
        return BlueprintError(": ".join(filter(None, (place, ".".join(map(str, path)), reason))))
