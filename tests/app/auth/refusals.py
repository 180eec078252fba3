"""Checks of rejected tokens."""

import re

import pytest

from app.auth.oidc.claims import BadTokenError
from app.auth.oidc.tokens import TokenVerifier

# What RFC 6750, section 3, allows in `error_description`.
DESCRIPTION = re.compile(r"[\x20-\x21\x23-\x5B\x5D-\x7E]+")


async def refusal(verifier: TokenVerifier, token: str) -> str:
    """Return the reason why the token is rejected, which must fit into a header."""
    with pytest.raises(BadTokenError) as caught:
        await verifier.verify(token)
    assert DESCRIPTION.fullmatch(str(caught.value))
    return str(caught.value)
