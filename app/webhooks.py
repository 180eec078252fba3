"""Builds what delivers events from the settings."""

from activities.webhooks.guard import Guard
from activities.webhooks.secrets import SecretBox
from app.crypto.derived_keys import derive_key
from app.settings import Settings

PURPOSE = "webhook secrets"
DEFAULT_SOURCE = "urn:alga-tenants"


def secret_box(settings: Settings) -> SecretBox:
    """Return what encrypts secrets, with the key of `AUDIT_SECRET`, or of `NEXTAUTH_SECRET` if that is not set."""
    secret = settings.audit_secret or settings.nextauth_secret
    return SecretBox(derive_key(secret.get_secret_value(), PURPOSE))


def url_guard(settings: Settings) -> Guard:
    """Return what decides where requests may go."""
    return Guard(settings.webhook_networks)


def event_source(settings: Settings) -> str:
    """Return the `source` of events."""
    return settings.public_url or DEFAULT_SOURCE
