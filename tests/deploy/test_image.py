"""The image and the Compose file, as far as they can be checked without building."""

import json
import re
from typing import Any

import yaml
from typer.testing import CliRunner

from activities.alga.development import MANAGEMENT_TENANT
from app.cli import _Root, app
from app.settings import Settings
from tests.deploy.chart import REPOSITORY, program, run

DOCKERFILE = (REPOSITORY / "Dockerfile").read_text()
FINAL = DOCKERFILE.rpartition("\nFROM ")[2]
COMPOSE_FILE = (REPOSITORY / "docker-compose.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_FILE)
OURS = {name: service for name, service in COMPOSE["services"].items() if "alga-tenants" in service.get("image", "")}


def test_hadolint_passes() -> None:
    for folder in (REPOSITORY, REPOSITORY / ".devcontainer"):
        response = run(program("hadolint"), str(folder / "Dockerfile"))
        assert response.returncode == 0, response.stdout


def test_the_image_runs_without_root_and_pip() -> None:
    assert re.findall(r"^USER (.*)$", FINAL, re.MULTILINE) == ["10001:10001"]
    assert not re.search(r"\bpip install|apt-get|curl|wget", FINAL)
    assert 'ENTRYPOINT ["alga-tenants"]' in FINAL


def test_every_package_is_pinned_by_hash() -> None:
    commands = DOCKERFILE.replace("\\\n", " ")
    installs = re.findall(r"pip (?:--python \S+ )?install ([^&\n]*)", commands)
    assert len(installs) == 3
    assert all("--require-hashes" in options or "--no-index" in options for options in installs)


def test_every_copied_file_is_in_the_build_context() -> None:
    kept = {line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        name for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE) for name in line.split()[:-1]
    }
    assert copied == kept
    assert all((REPOSITORY / name).exists() for name in copied)


def test_the_services_have_valid_settings_and_commands() -> None:
    known = {name.upper() for name in Settings.model_fields} | {"ALGA_TENANTS_URL"}
    assert set(OURS) == {"alga-tables", "migrate", "worker", "gateway", "example"}
    for service in OURS.values():
        assert service["environment"].keys() <= known
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    commands = {OURS[name]["command"][0] for name in ("migrate", "worker", "gateway")}
    assert commands <= _Root.lazy_commands.keys()


def test_the_key_that_it_advises_can_be_created_in_a_container() -> None:
    for text in (COMPOSE_FILE, (REPOSITORY / "docs" / "deploy.md").read_text()):
        ((service, command),) = re.findall(
            r"docker compose exec (\S+) alga-tenants (.*?)(?:  |$)", text, re.MULTILINE
        )
        assert OURS[service]["command"] == ["gateway"]
        response = CliRunner().invoke(app, [*command.split(), "--help"])
        assert response.exit_code == 0, response.output
    secrets = {"DATABASE_URL", "ADMIN_DATABASE_URL", "NEXTAUTH_SECRET"}
    assert OURS["gateway"]["environment"].keys() >= secrets


def test_the_development_container_has_the_programs_of_continuous_integration() -> None:
    folder = REPOSITORY / ".devcontainer"
    lines = (folder / "devcontainer.json").read_text().splitlines()
    described = json.loads("\n".join(line for line in lines if not line.lstrip().startswith("//")))
    assert (folder / described["build"]["dockerfile"]).exists()
    dockerfile = (folder / "Dockerfile").read_text()
    assert f"useradd --uid 1000 --create-home --shell /bin/bash {described['remoteUser']}" in dockerfile
    assert described["postCreateCommand"] == "make setup"
    installed = re.findall(r"--no-install-recommends \\\n\s+(.*) \\", dockerfile)[0].split()
    needed = set(re.findall(r"missing\+=\((\S+)\)", (REPOSITORY / ".ci" / "run").read_text()))
    assert len(needed) >= 8
    assert needed | {"git", "make"} <= set(installed)


def test_the_management_tenant_is_the_one_that_the_tables_come_with() -> None:
    named = {service["environment"]["MASTER_BILLING_TENANT_ID"] for service in OURS.values()}
    assert named == {str(MANAGEMENT_TENANT)}


def test_the_ports_are_the_defaults_on_loopback() -> None:
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
    asked = {name: " ".join(OURS[name]["healthcheck"]["test"]) for name in ("gateway", "worker")}
    assert f":{Settings.model_fields['gateway_port'].default}/readyz" in asked["gateway"]
    assert f":{Settings.model_fields['worker_probe_port'].default}/readyz" in asked["worker"]


def test_every_service_waits_for_its_dependencies() -> None:
    for service in COMPOSE["services"].values():
        for name, wait in service.get("depends_on", {}).items():
            needed = COMPOSE["services"][name]
            assert ("healthcheck" in needed) == (wait["condition"] == "service_healthy")
