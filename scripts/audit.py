"""Look up advisories for each pinned package: `python scripts/audit.py LOCK [OPTIONS]`.

The exit status is 0 if no package is known to be vulnerable, 1 if one is, and 3 if some could not be checked.
"""

import json
import subprocess
import sys
from typing import Any

SOUND, VULNERABLE, UNKNOWN = 0, 1, 3


def main(lock: str, *options: str) -> int:
    """Run pip-audit with these options and return the exit status."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", lock, "--require-hashes", "--disable-pip"]
    command += ["--format", "json", "--progress-spinner", "off", "--desc", "off", *options]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - pip-audit
    try:
        report = json.loads(ran.stdout)
    except ValueError:
        print(f"NOT CHECKED: pip-audit failed: {last_line(ran.stderr)}")
        return UNKNOWN
    return print_report(lock, report["dependencies"])


def print_report(lock: str, packages: list[dict[str, Any]]) -> int:
    """Print the advisories and return the exit status; a skipped package counts as unchecked."""
    vulnerable = [package for package in packages if package.get("vulns")]
    skipped = [package for package in packages if "skip_reason" in package]
    for package in vulnerable:
        for advisory in package["vulns"]:
            fixed = ", ".join(advisory["fix_versions"]) or "none yet"
            print(f"VULNERABLE: {package['name']} {package['version']}: {advisory['id']}; mended in: {fixed}")
    if skipped:
        print(f"NOT CHECKED: {len(skipped)} of {len(packages)} packages in {lock} are not in the database:")
        print("  " + ", ".join(package["name"] for package in skipped))
        print("A mirror may lack advisories. Run this again with access to the internet.")
    if vulnerable:
        return VULNERABLE
    if skipped or not packages:
        return UNKNOWN
    print(f"{len(packages)} packages in {lock}: no advisory is known")
    return SOUND


def last_line(text: str) -> str:
    """Return the last line that is not blank."""
    return next((line for line in reversed(text.splitlines()) if line.strip()), "nothing")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
