"""What the command line needs to work on a running `dev`: a file in its data folder that only its owner can read."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from app.embedded.paths import existing_data_dirs, is_in_use, open_private

FILE = "profile.json"


@dataclass(frozen=True)
class Profile:
    """The gateway, its API key, and the variables that `Settings` reads of a running installation."""

    url: str
    api_key: str = field(repr=False)
    temporal_ui: str | None
    variables: Mapping[str, str] = field(repr=False)


class NotRunningError(Exception):
    """The data of this checkout's `dev` exist, but none runs that commands could use."""

    def __init__(self, folder: Path, problem: str = "no `make run` is running") -> None:
        super().__init__(f"{problem} on the data in {folder}")


def write_profile(folder: Path, profile: Profile) -> None:
    """Keep the profile until `remove_profile`."""
    with open_private(folder / FILE) as file:
        file.write(json.dumps(asdict(profile)).encode())


def remove_profile(folder: Path) -> None:
    """Remove the profile, which may be one that a killed instance has left."""
    (folder / FILE).unlink(missing_ok=True)


def find_profile(chosen: Path | None = None) -> Profile | None:
    """Return the profile of this checkout's first running instance, or of the chosen data folder.

    Returns None if the checkout has no data. Raises `NotRunningError` if it has, or a folder is chosen, but no
    instance is running on them and ready.
    """
    folders = existing_data_dirs() if chosen is None else [chosen]
    for folder in folders:
        # It may be starting, or about to end.
        with suppress(FileNotFoundError):
            if is_in_use(folder):
                return _parse(folder, (folder / FILE).read_text())
    if folders:
        raise NotRunningError(folders[0])
    return None


def _parse(folder: Path, text: str) -> Profile:
    try:
        return Profile(**json.loads(text))
    except (TypeError, ValueError):
        raise NotRunningError(folder, "the `make run` of another version is running") from None
