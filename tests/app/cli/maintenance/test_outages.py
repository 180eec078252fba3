"""Commands that can't reach a server exit with 5 and name the server, the reason and the setting."""

import pytest
from typer.testing import CliRunner

from app.cli import app
from app.embedded.processes.ports import free_port

UNKNOWN = "00000000-0000-4000-8000-000000000001"


@pytest.mark.parametrize(
    ("arguments", "setting"),
    [
        (("migrate",), "ADMIN_DATABASE_URL"),
        (("reconcile",), "TEMPORAL_ADDRESS"),
        (("track", UNKNOWN), "ADMIN_DATABASE_URL"),
        (("keys", "list"), "DATABASE_URL"),
        (("audit", "list"), "DATABASE_URL"),
        (("audit", "verify"), "DATABASE_URL"),
        (("certificate", "show", UNKNOWN), "DATABASE_URL"),
        (("replay",), "TEMPORAL_ADDRESS"),
    ],
)
def test_an_outage_is_explained(arguments: tuple[str, ...], setting: str) -> None:
    port = free_port()
    url = f"postgresql://alga:s3cret-word@127.0.0.1:{port}/alga"
    environment = {
        "ADMIN_DATABASE_URL": url,
        "DATABASE_URL": url,
        "TEMPORAL_ADDRESS": f"127.0.0.1:{port}",
        "NEXTAUTH_SECRET": "a-secret-of-tests-that-is-long-enough",
        "MASTER_BILLING_TENANT_ID": UNKNOWN,
        "ALGA_TENANTS_API_KEY": None,
    }
    ran = CliRunner(env=environment).invoke(app, arguments, prog_name="alga-tenants")
    assert (ran.exit_code, ran.stdout) == (5, "")
    assert f"127.0.0.1:{port} can't be used: no server listens there" in ran.stderr
    assert setting in ran.stderr
    assert "s3cret" not in ran.stderr
    assert "Error" not in ran.stderr
