"""Instances of every model and dataclass of the product, with a marker in each confidential value."""

import dataclasses
import importlib
import inspect
import pkgutil
import re
import types
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints
from uuid import uuid4

from pydantic import BaseModel, SecretBytes, SecretStr

import activities
import app
import workflows

SECRET = re.compile(
    r"passw|secret|(?<!page_)token|authorization|cookie|credential|api_key$|database_url$|^key$", re.IGNORECASE
)
PERSONAL = re.compile(r"^(first_name|last_name|e_?mail|phone)$", re.IGNORECASE)

MAX_DEPTH = 4


class Marked(NamedTuple):
    """A model, and all markers in it."""

    model: Any
    secrets: frozenset[str]
    personal: frozenset[str]


def all_models() -> Iterator[type]:
    """Return all models and dataclasses defined in app, activities and workflows."""
    for package in (app, activities, workflows):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                yield from _defined_in(importlib.import_module(module.name))


def marked(model: type) -> Marked:
    """Return an instance of a model, without validation, so that every type can have one."""
    filling = _Filling()
    return Marked(filling.instance(model, 0), frozenset(filling.secrets), frozenset(filling.personal))


def _defined_in(module: types.ModuleType) -> Iterator[type]:
    for value in vars(module).values():
        is_own = isinstance(value, type) and value.__module__ == module.__name__
        if (
            is_own
            and not inspect.isabstract(value)
            and (issubclass(value, BaseModel) or dataclasses.is_dataclass(value))
        ):
            yield value


class _Filling:
    def __init__(self) -> None:
        self.secrets: set[str] = set()
        self.personal: set[str] = set()

    def instance(self, model: type, depth: int) -> Any:
        hints = get_type_hints(model, include_extras=True)
        if issubclass(model, BaseModel):
            values = {name: self.value(name, hints[name], depth + 1) for name in model.model_fields}
            return model.model_construct(**values)
        made = model.__new__(model)
        for field in dataclasses.fields(model):  # type: ignore[arg-type] # a type that is no model is a dataclass
            object.__setattr__(made, field.name, self.value(field.name, hints[field.name], depth + 1))
        return made

    def value(self, name: str, hint: Any, depth: int) -> Any:
        """Return a value of the type, or None if it can't contain text."""
        origin, arguments = get_origin(hint), get_args(hint)
        if origin is Annotated:
            return self.value(name, arguments[0], depth)
        if origin in {Union, types.UnionType}:
            made = (self.value(name, argument, depth) for argument in arguments)
            return next((value for value in made if value is not None), None)
        if origin is Literal:
            return arguments[0]
        if isinstance(origin, type):
            return self._collection(name, origin, arguments, depth)
        return self._single(name, hint, depth) if isinstance(hint, type) else None

    def _collection(self, name: str, origin: type, arguments: tuple[Any, ...], depth: int) -> Any:
        if issubclass(origin, Mapping):
            values = int if issubclass(origin, Counter) else arguments[1]
            return {"name": self.value(name, values, depth)}
        if issubclass(origin, Sequence | AbstractSet) and arguments:
            return [self.value(name, arguments[0], depth)]
        return None

    def _single(self, name: str, hint: type, depth: int) -> Any:
        if issubclass(hint, SecretStr | SecretBytes):
            marker = self._marker(self.secrets)
            return SecretStr(marker) if issubclass(hint, SecretStr) else SecretBytes(marker.encode())
        if hint in {str, bytes}:
            text = self._text(name)
            return text if hint is str else text.encode()
        if depth < MAX_DEPTH and (issubclass(hint, BaseModel) or dataclasses.is_dataclass(hint)):
            return self.instance(hint, depth)
        return None

    def _text(self, name: str) -> str:
        if SECRET.search(name):
            return self._marker(self.secrets)
        return self._marker(self.personal) if PERSONAL.search(name) else "something"

    def _marker(self, markers: set[str]) -> str:
        marker = f"unmistakable{uuid4().hex}"
        markers.add(marker)
        return marker
