"""What the README promises of each of its commands: which output, and what is so afterwards."""

import re
from collections.abc import Callable

import httpx

from tests.newcomer.newcomer import COMMAND_TIMEOUT, URL, Newcomer

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"

Check = Callable[[Newcomer, str], None]


def find(pattern: str, output: str) -> re.Match[str]:
    """Return the first match; raises `AssertionError` with the output if there is none."""
    found = re.search(pattern, output)
    assert found, f"no {pattern!r} in:\n{output}"
    return found


def check_sign_in(link: str) -> None:
    """Check that the link of the console shows a button, and that the button signs in, once."""
    with httpx.Client(timeout=COMMAND_TIMEOUT) as browser:
        page = browser.get(link)
        assert page.status_code == 200, page.text
        token = find(r'name="link" value="([^"]+)"', page.text)[1]
        address = httpx.URL(link)
        origin = f"{address.scheme}://{address.netloc.decode()}"
        for status in (303, 401):
            signed_in = browser.post(
                f"{origin}/console/sign-in/link", data={"link": token}, headers={"Origin": origin}
            )
            assert signed_in.status_code == status, signed_in.text
        assert "Example" in browser.get(f"{origin}/console/tenants").text


def check_created(newcomer: Newcomer, output: str) -> None:
    """Check that the tenant is there, and that id and password were shown."""
    find(r"password .*: \S{12}", output)
    newcomer.tenant = find(rf"tenant id\s+({UUID})", output)[1]
    assert newcomer.get(f"/tenants/{newcomer.tenant}").json()["name"] == "Acme"


def check_posted(newcomer: Newcomer, output: str) -> None:
    """Check that the response is a 202 with the operation, whose status is at `Location`."""
    find(r"HTTP/1\.1 202 ", output)
    status = newcomer.get(location_of(output)).json()
    assert status["tenantName"] == "Globex", status


def location_of(output: str) -> str:
    """Return the path in the header `Location` of a response."""
    return find(r"(?im)^location: (/\S+)", output)[1]


def has_state(state: str) -> Check:
    """Return a check that the tenant has this state."""

    def check(newcomer: Newcomer, _output: str) -> None:
        assert newcomer.get(f"/tenants/{newcomer.tenant}").json()["state"] == state

    return check


def prints(*patterns: str) -> Check:
    """Return a check that all of these are in the output. `ID` is the tenant's id."""

    def check(newcomer: Newcomer, output: str) -> None:
        for pattern in patterns:
            find(pattern.replace("ID", newcomer.tenant), output)

    return check


def all_of(*checks: Check) -> Check:
    """Return a check that makes all of these."""

    def check(newcomer: Newcomer, output: str) -> None:
        for each in checks:
            each(newcomer, output)

    return check


PROGRAM = r"\.venv/bin/alga-tenants "
POST = rf"curl -i {URL}/tenants "
SCHEDULED = has_state("deletion_scheduled")
# Every command of the README matches exactly one of these.
CHECKS: dict[str, Check] = {
    rf"{PROGRAM}create ": check_created,
    rf"{PROGRAM}tenants list --search acme$": prints("Acme", "ID"),
    rf"{PROGRAM}operations list$": prints("completed", "tenant-creation-ID"),
    rf"{PROGRAM}tenants show ID$": prints("Acme", "active", "ada@acme.example"),
    rf"{PROGRAM}tenants footprint ID$": prints(r"\d+ +permissions", r"1 +tenants"),
    rf"{PROGRAM}tenants suspend ID ": has_state("suspended"),
    rf"{PROGRAM}tenants reactivate ID$": has_state("active"),
    POST: check_posted,
    rf"{PROGRAM}tenants delete ID ": all_of(prints(r"rows +\d+ in \d+ tables"), SCHEDULED),
    rf"{PROGRAM}tenants confirm-deletion ID$": all_of(prints("grace period +30 days"), SCHEDULED),
    rf"{PROGRAM}tenants deletion ID$": prints("contract ended", "waiting"),
    rf"{PROGRAM}tenants undo-deletion ID ": has_state("active"),
}


def check_of(command: str) -> Check:
    """Return the check of a command; raises `AssertionError` if there is not exactly one."""
    found = [check for pattern, check in CHECKS.items() if re.match(pattern, command)]
    assert len(found) == 1, f"add a check of what the README promises of: {command}"
    return found[0]
