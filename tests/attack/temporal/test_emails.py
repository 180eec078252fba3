"""An e-mail address belongs to one internal user, however it is spelled."""

from uuid import UUID

import asyncpg
import pytest

from tests.attack.temporal.stranger import Stranger, asking, clear, ended
from tests.e2e.conftest import Service
from tests.support.tenants.rows import row_counts

pytestmark = pytest.mark.anyio

SPELLINGS = {
    "as it is": "{local}@büro.example",
    "upper case": "{LOCAL}@BÜRO.EXAMPLE",
    "blanks around it": "  {local}@büro.example  ",
    "a line break after it": "{local}@büro.example\n",
    "a full-width dot": "{local}@büro\uff0eexample",
    "an ideographic dot": "{local}@büro\u3002example",
    "a half-width ideographic dot": "{local}@büro\uff61example",
    "punycode": "{local}@xn--bro-hoa.example",
    "punycode in upper case": "{local}@XN--BRO-HOA.example",
    "a decomposed domain": "{local}@bu\u0308ro.example",
    "full-width letters in the domain": "{local}@büro.\uff45xample",
}
LOOKALIKES = {
    "a full-width letter": "\uff41da@acme.example",
    "a ligature": "\ufb01nn@acme.example",
    "a superscript": "ada\u00b2@acme.example",
    "a full-width at sign": "ada\uff20acme.example",
    "a space of no width": "ada\u200b@acme.example",
}


@pytest.fixture(scope="module")
async def taken(service: Service) -> UUID:
    """A tenant whose administrator's address the tests set."""
    return UUID((await service.provision())["tenantId"])


@pytest.mark.parametrize(
    ("existing", "spelling"),
    [
        *(("{local}@büro.example", spelling) for spelling in SPELLINGS),
        *(("{Local}@BÜRO.example", spelling) for spelling in ("as it is", "upper case", "punycode")),
        *(("{local}@xn--bro-hoa.example", spelling) for spelling in ("as it is", "upper case", "punycode")),
    ],
)
async def test_another_spelling_of_an_address_is_the_same_user(  # noqa: PLR0917 - fixtures
    service: Service, database: asyncpg.Connection, stranger: Stranger, taken: UUID, spelling: str, existing: str
) -> None:
    local = f"ada-{taken.hex[:12]}"
    names = {"local": local, "Local": local.title(), "LOCAL": local.upper()}
    # As Alga's own code may have written it.
    await database.execute(
        "UPDATE users SET email = $2, username = $2 WHERE tenant = $1", taken, existing.format(**names)
    )
    asked = asking()
    asked["adminUser"]["email"] = SPELLINGS[spelling].format(**names)
    handle = await stranger.start(clear(asked))
    await ended(handle)
    document = await service.status(handle.id)
    assert (document["status"], document["error"]["code"]) == ("failed", "duplicate-email")
    assert await row_counts(database, document["tenantId"]) == {}


@pytest.mark.parametrize("address", LOOKALIKES)
async def test_lookalike_characters_are_refused(
    service: Service, database: asyncpg.Connection, stranger: Stranger, address: str
) -> None:
    asked = asking()
    asked["adminUser"]["email"] = LOOKALIKES[address]
    handle = await stranger.start(clear(asked))
    await ended(handle)
    document = await service.status(handle.id)
    assert (document["status"], document["error"]["code"]) == ("failed", "invalid-request")
    assert document["error"]["errors"][0]["field"] == "adminUser.email"
    assert await row_counts(database, document["tenantId"]) == {}
