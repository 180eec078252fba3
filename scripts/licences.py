"""Checks the licences of all pinned packages against the list in pyproject.toml; exits 1 where one is not on it."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
UNTOLD = "UNKNOWN"
PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==", re.MULTILINE)


def main() -> int:
    """Look at every package of requirements-dev.lock, which holds requirements.lock, that is installed here."""
    licences = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["licences"]
    allowed = frozenset(licences["allow"])
    pinned = PIN.findall((ROOT / "requirements-dev.lock").read_text())
    command = [sys.executable, "-m", "piplicenses", "--from", "mixed", "--format", "json", "--with-system"]
    ran = subprocess.run([*command, "--packages", *pinned], capture_output=True, text=True, check=True)  # noqa: S603 - pip-licenses
    packages = json.loads(ran.stdout)
    for package in packages:
        if package["License"] == UNTOLD:
            package["License"] = licences["untold"].get(package["Name"], UNTOLD)
    strange = [package for package in packages if not is_allowed(package["License"], allowed)]
    for package in strange:
        print(
            f"{package['Name']} {package['Version']}: {package['License']} is not in pyproject.toml's [tool.licences]"
        )
    if not strange:
        print(f"{len(packages)} packages, all under licences that are allowed")
    return 1 if strange or not packages else 0


def is_allowed(licence: str, allowed: frozenset[str]) -> bool:
    """Whether what a package says of its licence is on the list, or a choice or sum of such, as in SPDX."""
    if licence in allowed:
        return True
    for operator, together in ((" OR ", any), (";", all), (" AND ", all)):
        if operator in licence:
            return together(is_allowed(part.strip(), allowed) for part in licence.split(operator))
    return False


if __name__ == "__main__":
    sys.exit(main())
