"""The real pip-audit, run by our script for one package, with an own database of advisories."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from app.embedded.processes.ports import free_port

SCRIPT = Path(__file__).parents[2] / "scripts" / "audit.py"
ADVISORY = {
    "id": "PYSEC-2026-1",
    "modified": "2026-01-01T00:00:00Z",
    "summary": "Bad.",
    "affected": [
        {
            "package": {"name": "example", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.1"}]}],
        }
    ],
}


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    file = tmp_path / "requirements.lock"
    file.write_text(f"example==1.0 --hash=sha256:{'0' * 64}\n")
    return file


@pytest.fixture
def advisories() -> Iterator[tuple[str, list[Any]]]:
    """The address of a database, and its advisories."""
    known: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = json.dumps({"vulns": known} if known else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
            del format, args

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query", known
        server.shutdown()
        thread.join()


def audit(lock: Path, url: str) -> tuple[int, str]:
    options = ["--vulnerability-service", "osv", "--osv-url", url, "--timeout", "5"]
    ran = subprocess.run(  # noqa: S603 - a command line of ours
        [sys.executable, SCRIPT, lock, *options], capture_output=True, text=True, check=False, timeout=60
    )
    return ran.returncode, ran.stdout


def test_a_package_without_advisories_passes(lock: Path, advisories: tuple[str, list[Any]]) -> None:
    status, said = audit(lock, advisories[0])
    assert (status, "no advisory is known" in said) == (0, True)


def test_a_vulnerable_package_is_named_with_its_remedy(lock: Path, advisories: tuple[str, list[Any]]) -> None:
    url, known = advisories
    known.append(ADVISORY)
    status, said = audit(lock, url)
    assert status == 1
    assert "VULNERABLE: example 1.0: PYSEC-2026-1; mended in: 1.1" in said


def test_a_missing_database_is_a_failure(lock: Path) -> None:
    status, said = audit(lock, f"http://127.0.0.1:{free_port()}/v1/query")
    assert status == 3
    assert said.startswith("NOT CHECKED: ")
