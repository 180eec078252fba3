"""Links by which a new user sets a password in Alga: tokens that Alga's own page for it accepts."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urlencode

import jwt

LIFETIME = timedelta(hours=24)


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

    def password_link(self, email: str, issued_at: datetime) -> str | None:
        """Return the link for the internal user with that e-mail, valid for `LIFETIME`; the same each time."""
        if self.secret_key is None:
            return None
        claims = {
            # Alga's own tokens have these, and its page reads the address and the type.
            "username": "",
            "email": email,
            "password": "",
            "clientName": "",
            "user_type": "internal",
            "iat": issued_at,
            "exp": issued_at + LIFETIME,
        }
        token = jwt.encode(claims, self.secret_key, algorithm="HS256")
        return f"{self._origin}/auth/password-reset/set-new-password?{urlencode({'token': token, 'portal': 'msp'})}"

    @property
    def _origin(self) -> str:
        return self.url.rstrip("/")
