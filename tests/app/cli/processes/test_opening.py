"""`alga-tenants open`, with a browser that writes down what it was given."""

import pytest

from app.cli.exit_codes import ExitCode
from tests.app.cli.conftest import Run

URL = "https://tenants.example.com"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    addresses: list[str] = []

    def note(address: str) -> bool:
        addresses.append(address)
        return True

    monkeypatch.setattr("webbrowser.open", note)
    return addresses


@pytest.mark.parametrize(
    ("arguments", "address"),
    [((), f"{URL}/console"), (("console",), f"{URL}/console"), (("docs",), f"{URL}/docs")],
)
def test_a_page_is_printed_and_opened(run: Run, opened: list[str], arguments: tuple[str, ...], address: str) -> None:
    ran = run("open", *arguments, "--url", f"{URL}/")
    assert (ran.code, ran.stdout, ran.stderr) == (0, f"{address}\n", "")
    assert opened == [address]


def test_print_opens_nothing(run: Run, opened: list[str]) -> None:
    assert run("open", "docs", "--url", URL, "--print", "--json").document == {"url": f"{URL}/docs"}
    assert opened == []


def test_no_browser_is_a_failure_with_the_address_on_stdout(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webbrowser.open", lambda _: False)
    ran = run("open", "docs", "--url", URL)
    assert (ran.code, ran.stdout) == (ExitCode.FAILED, f"{URL}/docs\n")
    assert "no browser could be started" in ran.stderr


def test_an_unknown_ui_of_temporal_is_an_error(run: Run, opened: list[str]) -> None:
    assert run("open", "temporal").code == ExitCode.INVALID
    assert opened == []
