"""Cookies of the console. Scripts can't read them, and other sites' forms don't send them."""

from dataclasses import dataclass
from math import ceil

from starlette.requests import Request
from starlette.responses import Response


@dataclass(frozen=True)
class Cookie:
    """A cookie. Over https its name has the prefix by which browsers refuse one that another host has set."""

    name: str

    def read(self, request: Request) -> str | None:
        """Return the value that the browser has sent."""
        return request.cookies.get(self._name(request))

    def set(self, request: Request, response: Response, value: str, seconds: float) -> None:
        """Let the browser keep a value for the given time."""
        response.set_cookie(
            self._name(request),
            value,
            max_age=ceil(seconds),
            httponly=True,
            # A link from elsewhere, such as the identity provider's, opens the console signed in.
            samesite="lax",
            secure=_is_secure(request),
        )

    def delete(self, request: Request, response: Response) -> None:
        """Let the browser forget the value."""
        response.delete_cookie(self._name(request), httponly=True, samesite="lax", secure=_is_secure(request))

    def _name(self, request: Request) -> str:
        return f"__Host-{self.name}" if _is_secure(request) else self.name


def _is_secure(request: Request) -> bool:
    return bool(request.scope["scheme"] == "https")


SESSION = Cookie("alga-tenants-session")
# What a sign-in at the identity provider needs when the browser comes back.
BEGUN = Cookie("alga-tenants-sign-in")
