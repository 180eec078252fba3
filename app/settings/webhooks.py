"""Where the gateway is reached from outside, where webhooks may lead, and how long events are kept."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Self

from pydantic import Field, model_validator

from app.settings.base import ProcessSettings
from app.settings.types import ProxyAddresses, is_protected_url, split_list


class WebhookSettings(ProcessSettings):
    """Events for other systems. Workers deliver them."""

    public_url: str | None = None
    """Where clients reach the gateway, like `https://tenants.example.com`. It is the `source` of events (default:
    `urn:alga-tenants`). Required with `OIDC_CLIENT_ID`."""
    webhook_allowed_networks: Annotated[ProxyAddresses, Field(min_length=1)] | None = None
    """Networks besides the public ones, separated by commas, that webhooks may lead to, like `10.20.0.0/16`. There,
    `http` is allowed, too."""
    event_retention: float = Field(default=2_592_000.0, ge=86_400)
    """Seconds that events and their deliveries are kept, dead letters included. A delivery that waits is kept."""

    @property
    def webhook_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The networks of `WEBHOOK_ALLOWED_NETWORKS`."""
        return tuple(map(ip_network, split_list(self.webhook_allowed_networks or "")))

    @model_validator(mode="after")
    def _check_public_url(self) -> Self:
        if self.public_url is not None and not is_protected_url(self.public_url, allow_http=True):
            raise ValueError("PUBLIC_URL: must be a URL like https://tenants.example.com, without credentials")
        return self
