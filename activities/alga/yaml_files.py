"""YAML files that tell where in them something is wrong."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

PathItem = str | int


class YamlFile:
    """A parsed YAML file; `document` is what it says."""

    def __init__(self, file: Path) -> None:
        """Read and parse; raises `YamlError` for what isn't YAML, and for a key that is given twice."""
        self.name = str(file)
        try:
            self._root = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else None
            raise YamlError(self.name, line, (), f"not valid YAML: {error.problem}") from None
        except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
            raise YamlError(self.name, None, (), f"can't be read: {error}") from None
        self._refuse_duplicate_keys(self._root, ())
        loader = yaml.SafeLoader("")
        self.document: Any = loader.construct_document(self._root) if self._root else None

    def error(self, path: Sequence[PathItem], reason: str) -> "YamlError":
        """An error about the value at the given path, or about the nearest one around it that exists."""
        node, line = self._root, 1
        for item in path:
            node = self._child(node, item)
            if node is None:
                break
            line = node.start_mark.line + 1
        return YamlError(self.name, line, path, reason)

    @staticmethod
    def _child(node: yaml.Node | None, item: PathItem) -> yaml.Node | None:
        if isinstance(node, yaml.MappingNode):
            return next((value for key, value in node.value if key.value == str(item)), None)
        if isinstance(node, yaml.SequenceNode) and isinstance(item, int) and item < len(node.value):
            child: yaml.Node = node.value[item]
            return child
        return None

    def _refuse_duplicate_keys(self, node: yaml.Node | None, path: tuple[PathItem, ...]) -> None:
        if isinstance(node, yaml.MappingNode):
            seen = set()
            for key, value in node.value:
                if key.value in seen:
                    raise YamlError(self.name, key.start_mark.line + 1, (*path, key.value), "is given twice")
                seen.add(key.value)
                self._refuse_duplicate_keys(value, (*path, key.value))
        elif isinstance(node, yaml.SequenceNode):
            for number, value in enumerate(node.value):
                self._refuse_duplicate_keys(value, (*path, number))


class YamlError(Exception):
    """Something is wrong in a YAML file; the message gives file, line, path and reason."""

    def __init__(self, file: str, line: int | None, path: Sequence[PathItem], reason: str) -> None:
        place = f"{file}:{line}" if line else file
        where = ".".join(str(item) for item in path)
        super().__init__(f"{place}: {where}: {reason}" if where else f"{place}: {reason}")
