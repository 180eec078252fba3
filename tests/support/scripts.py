"""Takes scripts of statements apart."""

from activities.database.transactions import SEPARATOR

BRACKETS = {"BEGIN", "COMMIT", "ROLLBACK"}


def statements_of(sent: str) -> list[str]:
    """Return the statements of a script, without those that begin and end transactions."""
    return [statement for statement in sent.split(SEPARATOR) if statement not in BRACKETS]
