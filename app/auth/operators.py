"""Whoever has a shell on the machine and the database's password: may do everything, and is named in the audit."""

import getpass
from uuid import uuid4

from app.auth.callers import Caller, Requester
from app.auth.scopes import Scope


def operator() -> Requester:
    """The user who runs this command."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        # A container's user needs no entry in the list of users.
        user = "unknown"
    caller = Caller(identity=f"shell:{user}", name=user, scopes=frozenset(Scope))
    return Requester(caller=caller, request_id=uuid4().hex)
