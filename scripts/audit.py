"""Asks a database of advisories about each pinned package: `python scripts/audit.py LOCK [OPTIONS]`.

Exits 0 where none is known to be vulnerable, 1 where one is, and 3 where that could not be found out of each.
"""

import json
import subprocess
import sys
from typing import Any

SOUND, VULNERABLE, UNKNOWN = 0, 1, 3


def main(lock: str, *options: str) -> int:
    """Run pip-audit, with options of its own, and tell what it can't know from what is well."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", lock, "--require-hashes", "--disable-pip"]
    command += ["--format", "json", "--progress-spinner", "off", "--desc", "off", *options]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - pip-audit
    try:
        report = json.loads(ran.stdout)
    except ValueError:
        print(f"NOT CHECKED: the advisories can't be had. pip-audit says: {last_line(ran.stderr)}")
        return UNKNOWN
    return tell(lock, report["dependencies"])


def tell(lock: str, packages: list[dict[str, Any]]) -> int:
    """Print what is known of each package; what was skipped is not well, it is unknown."""
    vulnerable = [package for package in packages if package.get("vulns")]
    skipped = [package for package in packages if "skip_reason" in package]
    for package in vulnerable:
        for advisory in package["vulns"]:
            mended = ", ".join(advisory["fix_versions"]) or "none yet"
            print(f"VULNERABLE: {package['name']} {package['version']}: {advisory['id']}; mended in: {mended}")
    if skipped:
        print(f"NOT CHECKED: {len(skipped)} of {len(packages)} packages in {lock}, which the database doesn't know:")
        print("  " + ", ".join(package["name"] for package in skipped))
        print("A mirror may have packages without advisories; ask again where the internet can be reached.")
    if vulnerable:
        return VULNERABLE
    if skipped or not packages:
        return UNKNOWN
    print(f"{len(packages)} packages in {lock}: no advisory is known")
    return SOUND


def last_line(text: str) -> str:
    """The last line that says something."""
    return next((line for line in reversed(text.splitlines()) if line.strip()), "nothing")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
