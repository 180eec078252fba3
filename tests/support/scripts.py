"""What the product sends in one go, taken apart again."""

from activities.database.transactions import SEPARATOR

BRACKETS = {"BEGIN", "COMMIT", "ROLLBACK"}


def statements_of(sent: str) -> list[str]:
    """The statements of a script, or the one statement that it is; without those that begin and end transactions."""
    return [statement for statement in sent.split(SEPARATOR) if statement not in BRACKETS]
