"""How settings are read: the environment and the files of `SECRETS_DIR`; faults name the setting and the fix."""

import os
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


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

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """Read the environment and the files of `SECRETS_DIR`; raises `SettingsError` naming every fault."""
        secrets_dir = os.environ.get("SECRETS_DIR")
        if secrets_dir is not None and not Path(secrets_dir).is_dir():
            raise SettingsError(f"SECRETS_DIR: {secrets_dir} is not a folder")
        try:
            return cls(_secrets_dir=secrets_dir, **overrides)
        except ValidationError as error:
            raise SettingsError("\n".join(_fault(cls, item) for item in error.errors(include_input=False))) from None


def _fault(settings: type[BaseSettings], item: Any) -> str:
    name = "_".join(str(part) for part in item["loc"]).upper()
    if item["type"] == "missing":
        return f"{name} is not set: {settings.model_fields[item['loc'][0]].description}"
    reason = item["msg"].removeprefix("Value error, ")
    return f"{name}: {reason}" if name else reason
