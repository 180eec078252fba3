"""All pages of the console: found by their routes, and opened with the ids of what `hostile.py` has made."""

from collections.abc import Mapping
from string import Formatter

from fastapi.routing import APIRoute

from app.gateway.console.rendering import PREFIX
from app.gateway.console.routes import PARTS

# What is no page: files, streams, and what the OpenID provider sends people to.
NO_PAGES = ("/assets/", "/live", "/sign-in/", "/file", "/content", "/manifest", "/parts/")
# What pages show that need an object in some state, by the names of the ids. Without an entry, it is the path's noun.
SHOWN: Mapping[str, tuple[str, ...]] = {
    "/deletions/{id}": ("undecided", "doomed", "deleted"),
    "/deletions/{id}/confirm": ("undecided",),
    "/deletions/{id}/undo": ("doomed",),
    "/deletions/{id}/certificate": ("deleted",),
    "/exports/{id}/restore/{run}": ("restores",),
    "/operations/{id}": ("operations", "parked"),
    "/tenants/{id}": ("tenants", "suspended", "undecided", "doomed"),
}


def routes() -> list[str]:
    """Return the paths of the routes that are pages, as below `/console`."""
    found = [route for part in PARTS for route in part.routes if isinstance(route, APIRoute) and is_page(route)]
    return sorted({route.path.removeprefix(PREFIX) for route in found})


def is_page(route: APIRoute) -> bool:
    return "GET" in (route.methods or ()) and not any(part in route.path for part in NO_PAGES)


def addresses(route: str, ids: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Return the addresses at which a page is opened; fail if its parameters have no ids."""
    names = {name for _, name, _, _ in Formatter().parse(route) if name}
    noun = route.split("/")[1] if names else ""
    shown = SHOWN.get(route, (noun,)) if names else ("",)
    for name in shown:
        missing = names - set(ids.get(name, {}))
        assert not missing, (
            f"{route}: hostile.py has no {', '.join(missing)} for {name}; add it, or an entry in SHOWN"
        )
    return [route.format(**ids.get(name, {})) for name in shown]
