"""Linters of OpenAPI and generators of TypeScript clients, on the document of a running gateway."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import Service
from tests.support.servers.npm import install_packages
from tests.support.servers.program import need_program

COMMAND_TIMEOUT = 300.0
# No tool reports its use, or asks for a newer version of itself.
QUIET = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true", "DO_NOT_TRACK": "1", "NO_COLOR": "1"}
SOURCES = ("redocly.yaml", ".spectral.yaml", "tsconfig.json", "life.ts", "types.ts")

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="package")
def tools(server_folder: Path) -> Path:
    """A folder with the packages of the lock file and the sources of the test."""
    folder = server_folder / "generated-clients"
    folder.mkdir()
    install_packages(Path(__file__).parent, folder)
    for name in SOURCES:
        shutil.copy(Path(__file__).with_name(name), folder)
    return folder


@pytest.fixture(scope="package")
def document(tools: Path, running: Service) -> Path:
    """The OpenAPI document, as the gateway serves it."""
    file = tools / "openapi.json"
    file.write_text(httpx.get(f"{running.installation.url}/openapi.json").raise_for_status().text)
    return file


@pytest.fixture(scope="package")
def run(tools: Path) -> Run:
    """Return a function that runs a program of a package, or `node`, in the folder."""

    def run_tool(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        program = need_program("node", package="nodejs")
        script = [] if name == "node" else [str(tools / "node_modules" / ".bin" / name)]
        return subprocess.run(  # noqa: S603 - installed programs
            [program, *script, *arguments],
            cwd=tools,
            env={**os.environ, **QUIET},
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT,
            check=False,
        )

    return run_tool


@pytest.fixture(scope="package")
def clients(document: Path, run: Run) -> dict[str, str]:
    """Generate both clients, and return what the generators have printed."""
    printed = {}
    for generator, *arguments in (
        # The compiler checks it as it does not check declarations, of which it has those of browsers and Node.js.
        ("openapi-typescript", document.name, "--output", "schema.ts"),
        ("openapi-ts", "--input", document.name, "--output", "client"),
    ):
        generated = run(generator, *arguments)
        assert generated.returncode == 0, generated.stdout + generated.stderr
        printed[generator] = generated.stdout + generated.stderr
    return printed
