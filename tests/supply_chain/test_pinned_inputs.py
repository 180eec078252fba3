"""No package runs its own code during installation, and no base image can change behind its tag."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
DIGEST = "@sha256:<digest>"
BASE = f"BASE_IMAGE=python:3.11-slim-bookworm{DIGEST}"


def installs(text: str) -> list[str]:
    """Return the arguments of each `pip install` of a lock file."""
    found = re.findall(r"\bpip\b[^&\n]*\binstall\b([^&\n]*)", text.replace("\\\n", " "))
    return [options for options in found if "--require-hashes" in options]


def test_setup_and_image_install_wheels_only() -> None:
    for name, number in (("Makefile", 3), ("Dockerfile", 2)):
        found = installs((ROOT / name).read_text())
        assert len(found) == number, name
        assert all("--only-binary :all:" in line for line in found), name


def test_tools_are_fetched_as_wheels_only() -> None:
    assert '"--require-hashes", "--only-binary", ":all:"' in (ROOT / "scripts" / "fetch_tools.py").read_text()


def test_every_documented_build_names_its_base_image_by_digest() -> None:
    for name in ("Dockerfile", "docs/deploy.md", "docs/runbook.md", "scripts/deploy.sh"):
        text = (ROOT / name).read_text()
        assert f"python:3.11-slim-bookworm{DIGEST}" in text, name
        assert "imagetools inspect" in text or name == "docs/runbook.md", name
    dockerfile = (ROOT / "Dockerfile").read_text()
    documented = re.findall(r"^#   docker build (?:.*\\\n)*.*$", dockerfile, re.MULTILINE)
    assert len(documented) == 1
    assert BASE in documented[0]


def test_no_digest_is_invented() -> None:
    for name in ("Dockerfile", "docs/deploy.md", "docs/runbook.md", "scripts/deploy.sh", "docker-compose.yaml"):
        assert re.search(r"@sha256:(?!<digest>)", (ROOT / name).read_text()) is None, name


def test_compose_takes_every_image_from_a_variable() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())
    images = {service["image"] for service in compose["services"].values()}
    assert all(image.startswith("${") for image in images), images
    bases = {service["build"]["args"]["BASE_IMAGE"] for service in compose["services"].values() if "build" in service}
    assert bases == {"${BASE_IMAGE:-python:3.11-slim-bookworm}"}
    assert DIGEST in (ROOT / "docker-compose.yaml").read_text()
