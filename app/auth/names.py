"""Names that only this service gives, so that no person can pass for one of its identities in a record."""

import re

# The kinds of identities; see `Caller.kind`. `token` is what people call the identities of tokens.
RESERVED_PREFIXES = ("key", "shell", "oidc", "token")
# Recorded in the place of a caller where there is none that could be named.
RESERVED_NAMES = frozenset({"anonymous", "audit", "gateway", "reconciler", "several", "temporal", "worker"})

_PREFIX = re.compile(rf"({'|'.join(RESERVED_PREFIXES)})\s*:", re.IGNORECASE)


def is_reserved(name: str) -> bool:
    """Return whether the name looks like one of our identities, in any case."""
    return _PREFIX.match(name.strip()) is not None or name.strip().casefold() in RESERVED_NAMES
