"""Links by which a new user sets a password in Alga: tokens that Alga's own page for it accepts."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal
from urllib.parse import urlencode

import jwt

LIFETIME = timedelta(hours=24)

UserType = Literal["internal", "client"]


@dataclass(frozen=True)
class AlgaSite:
    """Alga as people see it. `secret_key` signs its links; without it there are none."""

    url: str
    secret_key: str | None = field(default=None, repr=False)

    @property
    def sign_in_url(self) -> str:
        """Where internal users sign in."""
        return f"{self._origin}/auth/msp/signin"

    @property
    def forgot_password_url(self) -> str:
        """Where internal users request another link."""
        return f"{self._origin}/auth/msp/forgot-password"

    @property
    def portal_url(self) -> str:
        """Where users of the client portal sign in."""
        return f"{self._origin}/auth/client-portal/signin"

    def password_link(self, email: str, issued_at: datetime, user_type: UserType = "internal") -> str | None:
        """Return the link for the user with that e-mail and type, valid for `LIFETIME`; the same each time."""
        if self.secret_key is None:
            return None
        claims = {
            # Alga's own tokens have these, and its page reads the address and the type.
            "username": "",
            "email": email,
            "password": "",
            "clientName": "",
            "user_type": user_type,
            "iat": issued_at,
            "exp": issued_at + LIFETIME,
        }
        token = jwt.encode(claims, self.secret_key, algorithm="HS256")
        query = urlencode({"token": token, "portal": "msp" if user_type == "internal" else "client"})
        return f"{self._origin}/auth/password-reset/set-new-password?{query}"

    @property
    def _origin(self) -> str:
        return self.url.rstrip("/")
