"""Finds the `make run` of this checkout for commands that are given no server."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from app.cli.console import fail, say
from app.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from app.embedded.profile import Profile

FOLDER_VARIABLE = "ALGA_TENANTS_DATA_DIR"


class NoProfileError(Exception):
    """This checkout has data of `make run`, but that is not running."""


def running_profile(otherwise: str, *, as_json: bool) -> "Profile | None":
    """Return the profile of this checkout's `make run`, and say that it is used unless JSON is wanted.

    Returns None if the checkout has none, or `ALGA_TENANTS_DATA_DIR` is empty. If it has data but doesn't run, exits
    with a message that says what else can be done, as `otherwise` puts it.
    """
    try:
        profile = find_profile()
    except NoProfileError as error:
        fail(f"{error}: start it, or {otherwise}", ExitCode.UNAVAILABLE)
    if profile is not None and not as_json:
        say(Console(stderr=True, highlight=False), f"Using `make run` at {profile.url}", "dim")
    return profile


def find_profile() -> "Profile | None":
    """Return the profile of this checkout's `make run`, None if there is none.

    Raises `NoProfileError` if it has data but doesn't run.
    """
    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen == "" or sys.platform == "win32":
        return None
    from app.embedded import profile  # noqa: PLC0415 - needs a system with flock

    try:
        return profile.find_profile(Path(chosen) if chosen is not None else None)
    except profile.NotRunningError as error:
        raise NoProfileError(str(error)) from None
