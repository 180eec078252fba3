"""The lock files: everything is pinned by hash, for any package index."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCKS = [f"requirements{purpose}.lock" for purpose in ("", "-run", "-dev", "-tools", "-uv")]
NPM_FOLDERS = [
    "tests/browser/html_validator",
    "tests/e2e/generated_clients",
    "tests/e2e/typescript",
    "tests/support/servers/openid_provider",
]
NPM_LICENCES = {
    "(MIT OR CC0-1.0)",
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BlueOak-1.0.0",
    "ISC",
    "MIT",
    "Python-2.0",
    "Unlicense",
}
# Its package names a licence in an older way, which lock files do not have.
WITHOUT_LICENCE = {"node_modules/reserved": "MIT"}
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def entries(lock: str) -> list[str]:
    """Return the logical lines of a lock file, without comments."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / lock).read_text(), flags=re.MULTILINE)
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def pins(lock: str) -> dict[str, Requirement]:
    requirements = (Requirement(entry.partition("--hash")[0].strip()) for entry in entries(lock))
    return {f"{canonicalize_name(one.name)} {one.marker or ''}": one for one in requirements}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_is_pinned_to_one_version_by_hashes(lock: str) -> None:
    assert entries(lock)
    for entry in entries(lock):
        requirement = Requirement(entry.partition("--hash")[0].strip())
        assert [specifier.operator for specifier in requirement.specifier] == ["=="], entry
        assert HASH.search(entry), entry
        assert HASH.sub("", entry).count("--") == 0, entry


@pytest.mark.parametrize("lock", LOCKS)
def test_no_lock_names_an_index_or_an_address(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert re.search(r"://|^\s*-(?!-hash)| @ |index-url|find-links|trusted-host", text, re.MULTILINE) is None


def test_tests_use_the_versions_of_production() -> None:
    production = pins("requirements.lock")
    for lock in ("requirements-run.lock", "requirements-dev.lock"):
        used = pins(lock)
        for name, requirement in production.items():
            assert used[name].specifier == requirement.specifier, name


@pytest.mark.parametrize(
    ("lock", "extras"),
    [
        ("requirements.lock", []),
        ("requirements-run.lock", ["embedded"]),
        ("requirements-dev.lock", ["bench", "embedded", "test"]),
    ],
)
def test_dependencies_in_pyproject_are_in_the_lock(lock: str, extras: list[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert sorted(project["optional-dependencies"]) == ["bench", "embedded", "test"]
    wanted = [
        *project["dependencies"],
        *(item for extra in extras for item in project["optional-dependencies"][extra]),
    ]
    locked = {canonicalize_name(one.name): one for one in pins(lock).values()}
    for requirement in map(Requirement, wanted):
        (version,) = locked[canonicalize_name(requirement.name)].specifier
        assert requirement.specifier.contains(version.version), requirement


@pytest.mark.parametrize("folder", NPM_FOLDERS)
def test_npm_installs_exact_versions_by_hash_from_any_registry_and_runs_no_scripts(folder: str) -> None:
    packages = json.loads((ROOT / folder / "package-lock.json").read_text())["packages"]
    wanted = packages.pop("")["dependencies"]
    assert wanted == json.loads((ROOT / folder / "package.json").read_text())["dependencies"]
    assert all(packages[f"node_modules/{name}"]["version"] == version for name, version in wanted.items())
    for name, package in packages.items():
        assert package["integrity"].startswith("sha512-"), name
        assert "resolved" not in package, name
        assert package.get("license", WITHOUT_LICENCE.get(name)) in NPM_LICENCES, name
    options = (ROOT / folder / ".npmrc").read_text().splitlines()
    assert {"ignore-scripts=true", "omit-lockfile-registry-resolved=true"} <= set(options)
