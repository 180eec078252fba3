"""How settings are read: from the environment and the files of `SECRETS_DIR`, with errors that name the fix."""

import os
import re
from pathlib import Path
from typing import Any, ClassVar, Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

# Secrets that were never set: example words, and templates that were not filled in.
# fmt: off
WORDS = frozenset({
    "admin", "alga", "default", "dummy", "empty", "example", "examplepassword", "fixme", "letmein", "mypassword",
    "mysecret", "none", "null", "password", "password1", "password123", "passwd", "postgres", "pass", "redis",
    "root", "secret", "secretkey", "supersecret", "tbd", "test", "testing", "todo", "user", "xxx",
})
# fmt: on
PREFIXES = ("changeit", "changeme", "changethis", "insert", "placeholder", "replace", "yourpassword", "yoursecret")
# `${NAME}`, `$(NAME)`, `{{ name }}` and `<name>`, whole.
TEMPLATE = re.compile(r"\$\{.*\}|\$\(.*\)|\{\{.*\}\}|<.*>|%\(.*\)s", re.DOTALL)


class SettingsError(Exception):
    """A setting is missing or wrong; the message names it and the fix, never its value."""


class ProcessSettings(BaseSettings):
    """What every process and command reads; the docstring of a setting is its description in docs/settings.md."""

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        extra="ignore", frozen=True, hide_input_in_errors=True, case_sensitive=False, use_attribute_docstrings=True
    )

    environment: Literal["production", "development"] = "production"
    """`development` accepts placeholder secrets and writes logs for people."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe level that is logged."""

    @model_validator(mode="after")
    def _refuse_placeholders(self) -> Self:
        if self.environment == "development":
            return self
        errors = [error for name in type(self).model_fields if (error := self._placeholder_error(name))]
        if errors:
            raise ValueError("\n".join(errors))
        return self

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """Read the environment and the files of `SECRETS_DIR`; raises `SettingsError` with every error."""
        secrets_dir = os.environ.get("SECRETS_DIR")
        if secrets_dir is not None:
            cls._check_files(Path(secrets_dir))
        try:
            return cls(_secrets_dir=secrets_dir, **overrides)
        except ValidationError as error:
            raise SettingsError("\n".join(map(cls._message, error.errors(include_input=False)))) from None

    @classmethod
    def description(cls, name: str) -> str:
        """Return the description of a setting in one line."""
        return " ".join((cls.model_fields[name].description or "").split())

    def _placeholder_error(self, name: str) -> str | None:
        """Return the error for a secret that is a placeholder, or for a URL with one as its password."""
        value = getattr(self, name)
        if not isinstance(value, SecretStr):
            return None
        is_url = "://" in value.get_secret_value()
        secret = url_password(value.get_secret_value()) if is_url else value.get_secret_value()
        if secret is None or not is_placeholder(secret):
            return None
        problem = "has a placeholder as its password" if is_url else "is a placeholder"
        return f"{name.upper()} {problem}; set the real one: {self.description(name)}"

    @classmethod
    def _check_files(cls, folder: Path) -> None:
        """Raise `SettingsError` if a file that is named like a setting is empty or can't be read.

        Permissions are not checked: platforms mount secrets with modes of their own.
        """
        if not folder.is_dir():
            raise SettingsError(f"SECRETS_DIR: {folder} is not a folder")
        for path in folder.iterdir():
            if path.name.lower() not in cls.model_fields:
                continue
            try:
                content = path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
                raise SettingsError(f"{path.name.upper()}: {path} can't be read: {reason}") from None
            if not content.strip():
                raise SettingsError(f"{path.name.upper()}: {path} is empty; write the value into it, or remove it")

    @classmethod
    def _message(cls, error: Any) -> str:
        name = "_".join(str(part) for part in error["loc"]).upper()
        if error["type"] == "missing":
            return f"{name} is not set: {cls.description(error['loc'][0])}"
        reason = error["msg"].removeprefix("Value error, ")
        return f"{name}: {reason}" if name else reason


def is_placeholder(secret: str) -> bool:
    """Return whether this is an example word, one repeated character, or a template."""
    letters = re.sub(r"[^a-z0-9]", "", secret.lower())
    return (
        letters in WORDS
        or letters.startswith(PREFIXES)
        or len(set(secret)) <= 1
        or TEMPLATE.fullmatch(secret.strip()) is not None
    )


def url_password(url: str) -> str | None:
    """Return the password in a URL, None if it has none, as with client certificates or sockets."""
    try:
        password = urlsplit(url).password
    except ValueError:
        return None
    return unquote(password) if password is not None else None
