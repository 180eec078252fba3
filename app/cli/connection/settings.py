"""The settings of a command: those of the environment, else those of this checkout's `make run`."""

import os
from typing import TypeVar

from app.cli.connection.profile import running_profile
from app.settings.base import ProcessSettings

# With one of them the environment describes an installation, to which no setting of another one may be added.
SERVER_VARIABLES = ("ADMIN_DATABASE_URL", "DATABASE_URL", "NEXTAUTH_SECRET", "SECRETS_DIR", "TEMPORAL_ADDRESS")

SettingsT = TypeVar("SettingsT", bound=ProcessSettings)


def load_settings(settings: type[SettingsT], *, as_json: bool) -> SettingsT:
    """Read the settings; raises `SettingsError` with every error.

    If the environment names no server and no secret of an installation, those of `make run` are used. All other
    variables take precedence over it.
    """
    otherwise = "set the variables of another installation, such as DATABASE_URL"
    profile = None if names_installation() else running_profile(otherwise, as_json=as_json)
    if profile is None:
        return settings.load()
    given = {name.upper() for name, value in os.environ.items() if value}
    return settings.load(**{name.lower(): value for name, value in profile.variables.items() if name not in given})


def names_installation() -> bool:
    """Return whether the environment names a server or a secret of an installation."""
    given = {name.upper() for name, value in os.environ.items() if value}
    return not given.isdisjoint(SERVER_VARIABLES)
