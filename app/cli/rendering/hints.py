"""Puts commands in place of the HTTP calls that the gateway suggests, for people at a terminal."""

import re
from collections.abc import Callable

from app.client.models import Fault

_CALL = re.compile(r"\b(GET|POST|PUT|PATCH|DELETE|PUT or DELETE) (/[\w./%…-]+[\w%…])")
# By method and path, with {} for an id. The first that matches counts.
_COMMANDS = (
    ("GET", "/operations/{}", "status {}"),
    ("DELETE", "/operations/{}", "cancel {}"),
    ("PATCH", "/operations/{}", "operations change {}"),
    ("POST", "/operations/{}/resume", "resume {}"),
    ("GET", "/tenants", "tenants list"),
    ("GET", "/tenants/{}", "tenants show {}"),
    ("GET", "/tenants/{}/status", "status {}"),
    ("GET", "/tenants/{}/footprint", "tenants footprint {}"),
    ("GET", "/tenants/{}/deletion", "tenants deletion {}"),
    ("POST", "/tenants/{}/deletion", "tenants delete {}"),
    ("POST", "/tenants/{}/deletion/confirm", "tenants confirm-deletion {}"),
    ("POST", "/tenants/{}/deletion/undo", "tenants undo-deletion {}"),
    ("PUT", "/tenants/{}/suspension", "tenants suspend {}"),
    ("DELETE", "/tenants/{}/suspension", "tenants reactivate {}"),
    ("POST", "/tenants/{}/product-change", "tenants change-product {}"),
    ("PATCH", "/tenants/{}/licence", "tenants licence {}"),
    ("PUT", "/tenants/{}/addons/{}", "tenants grant-addon {} {}"),
    ("DELETE", "/tenants/{}/addons/{}", "tenants revoke-addon {} {}"),
    ("PUT or DELETE", "/tenants/{}/addons/{}", "tenants grant-addon {0} or revoke-addon {0}"),
    ("POST", "/tenants/{}/welcome-email", "tenants invite {}"),
    ("POST", "/tenants/{}/exports", "exports create {}"),
    ("GET", "/tenants/{}/exports", "exports list {}"),
    ("GET", "/exports/{}", "exports show {}"),
    ("GET", "/webhooks/{}", "webhooks show {}"),
    ("POST", "/webhooks/{}/resume", "webhooks resume {}"),
)
# How a text begins that continues its field's name.
_PREDICATE = re.compile(r"(?:must|is|are|has|have|was|can't|does|do|needs?|exceeds?)\b")


def with_commands(text: str) -> str:
    """Return the text with `alga-tenants` commands in place of HTTP calls; a call without a command stays."""
    return _CALL.sub(_command, text)


def fault_line(fault: Fault, field_name: Callable[[str], str] = str) -> str:
    """Return what is wrong with one field, as one sentence if the fault continues the field's name."""
    name, detail = field_name(fault.field), with_commands(fault.detail)
    return f"{name} {detail}" if _PREDICATE.match(detail) else f"{name}: {detail}"


def _command(call: re.Match[str]) -> str:
    for method, path, command in _COMMANDS:
        pattern = re.escape(path).replace(r"\{\}", "([^/]+)")
        if method == call[1] and (found := re.fullmatch(pattern, call[2])):
            return f"`alga-tenants {command.format(*found.groups())}`"
    return call[0]
