"""How settings are read: the environment and the files of `SECRETS_DIR`; faults name the setting and the fix."""

import os
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.settings.placeholders import is_placeholder, password_of


class SettingsError(Exception):
    """A setting is missing or wrong; the message names it and the fix, never its value."""


class ProcessSettings(BaseSettings):
    """What every process and command reads."""

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        extra="ignore", frozen=True, hide_input_in_errors=True, case_sensitive=False
    )

    environment: Literal["production", "development"] = Field(
        default="production", description="`development` allows placeholder secrets and logs for people."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe level that is logged."
    )

    @model_validator(mode="after")
    def _refuse_placeholders(self) -> Self:
        """Look at every secret that there is, also those that are not thought of yet."""
        if self.environment == "development":
            return self
        faults = [
            fault
            for name in type(self).model_fields
            if isinstance(value := getattr(self, name), SecretStr)
            and (fault := _placeholder(type(self), name, value.get_secret_value())) is not None
        ]
        if faults:
            raise ValueError("\n".join(faults))
        return self

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """Read the environment and the files of `SECRETS_DIR`; raises `SettingsError` naming every fault."""
        secrets_dir = os.environ.get("SECRETS_DIR")
        if secrets_dir is not None and not Path(secrets_dir).is_dir():
            raise SettingsError(f"SECRETS_DIR: {secrets_dir} is not a folder")
        if secrets_dir is not None:
            _check_files(cls, Path(secrets_dir))
        try:
            return cls(_secrets_dir=secrets_dir, **overrides)
        except ValidationError as error:
            raise SettingsError("\n".join(_fault(cls, item) for item in error.errors(include_input=False))) from None


def _placeholder(settings: type[BaseSettings], name: str, value: str) -> str | None:
    """What to say of a secret that is a placeholder, or of a URL whose password is one."""
    meaning = settings.model_fields[name].description
    if "://" not in value:
        return f"{name.upper()} is a placeholder; set the real one: {meaning}" if is_placeholder(value) else None
    password = password_of(value)
    if password is None or not is_placeholder(password):
        return None
    return f"{name.upper()} has a placeholder as its password; set the real one: {meaning}"


def _check_files(settings: type[BaseSettings], folder: Path) -> None:
    """Raise `SettingsError` where a file that is named like a setting says nothing, or can't be read.

    Who else may read a file is not looked at: platforms mount secrets with modes of their own.
    """
    for path in folder.iterdir():
        if path.name.lower() not in settings.model_fields:
            continue
        try:
            content = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
            raise SettingsError(f"{path.name.upper()}: {path} can't be read: {reason}") from None
        if not content.strip():
            raise SettingsError(f"{path.name.upper()}: {path} is empty; write the value into it, or remove it")


def _fault(settings: type[BaseSettings], item: Any) -> str:
    name = "_".join(str(part) for part in item["loc"]).upper()
    if item["type"] == "missing":
        return f"{name} is not set: {settings.model_fields[item['loc'][0]].description}"
    reason = item["msg"].removeprefix("Value error, ")
    return f"{name}: {reason}" if name else reason
