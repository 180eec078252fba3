"""Names by which a person could pass for an identity of this service."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from activities.audit.trail import TRAIL_CALLER
from app.audit.buffer import SEVERAL
from app.auth.callers import RESERVED_PREFIXES, is_reserved
from app.auth.oidc.claims import ClaimRules
from app.gateway.access.authenticated_route import ANONYMOUS
from app.settings.oidc import OidcSettings
from tests.app.gateway.requests import assert_problem, create, tenant
from workflows.operations.messages import UNKNOWN_CALLER

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[3]
CLAIMED = [
    "shell:root",
    "key:Qm3ZxT8bLw2K",
    "KEY:Qm3ZxT8bLw2K",
    "Shell : root",
    "oidc:0123abcd:somebody",
    "token:x",
    "temporal",
    "Gateway",
    "RECONCILER",
    "anonymous",
    "several",
    "audit",
]
ISSUER = "https://id.example"
RULES = ClaimRules(OidcSettings(oidc_issuer=ISSUER, oidc_audience="alga-tenants"), ISSUER)


@pytest.mark.parametrize("person", CLAIMED)
async def test_callers_cannot_act_for_our_own_identities(http: httpx.AsyncClient, person: str) -> None:
    response = await http.post("/tenants", json=tenant(), headers={"X-On-Behalf-Of": person})
    assert_problem(response, 400, "bad-on-behalf-of")
    assert "reserved" in response.json()["detail"]


@pytest.mark.parametrize("person", ["Jane Doe <jane@msp.example>", "keynes", "shelly: from accounting", "audit team"])
async def test_other_names_are_accepted(http: httpx.AsyncClient, person: str) -> None:
    assert (await create(http, None, **{"X-On-Behalf-Of": person}))["requestedBy"] == person


@pytest.mark.parametrize("claimed", [*CLAIMED, "a\nb", "\u202etoor", " "])
def test_a_reserved_name_in_a_token_is_not_used(claimed: str) -> None:
    claims: dict[str, Any] = {"sub": "somebody", "aud": "alga-tenants", "preferred_username": claimed}
    assert RULES.caller(claims).name == "somebody"
    assert RULES.caller({**claims, "azp": "admin-ui"}).name == "admin-ui"


def test_a_caller_without_another_name_is_named_by_its_identity() -> None:
    caller = RULES.caller({"sub": "shell:root", "aud": "alga-tenants"})
    assert caller.name == caller.identity
    assert caller.identity.startswith("oidc:")


def test_every_prefix_of_an_identity_is_reserved() -> None:
    sources = "\n".join(path.read_text() for path in (ROOT / "app").rglob("*.py"))
    found = set(re.findall(r'identity ?= ?f"(\w+):', sources))
    assert {"key", "shell", "oidc"} <= found
    assert found <= set(RESERVED_PREFIXES)


def test_every_name_that_stands_for_a_caller_is_reserved() -> None:
    words = {ANONYMOUS, SEVERAL, TRAIL_CALLER, UNKNOWN_CALLER, "gateway", "reconciler"}
    assert all(is_reserved(word) for word in words)
