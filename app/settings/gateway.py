"""Where processes listen, and what the gateway takes from its clients."""

from pydantic import Field

from app.settings.base import ProcessSettings
from app.settings.types import Origins, ProxyAddresses, RedisUrl


class GatewaySettings(ProcessSettings):
    """Addresses and ports, limits of requests, proxies and origins."""

    gateway_host: str = Field(default="0.0.0.0", description="Address that the gateway listens on.")  # noqa: S104 - a container's port is opened by its service
    gateway_port: int = Field(default=8000, ge=0, le=65535, description="Port that the gateway listens on.")
    worker_probe_host: str = Field(default="0.0.0.0", description="Address of the worker's probes.")  # noqa: S104 - see gateway_host
    worker_probe_port: int = Field(default=8001, ge=0, le=65535, description="Port of the worker's probes.")
    shutdown_delay: float = Field(
        default=0.0,
        ge=0,
        le=300,
        description="Seconds that SIGTERM leaves a gateway serving, with `/readyz` at 503, before it takes no more "
        "connections: the time that load balancers take to notice.",
    )
    prefer_wait_max: int = Field(
        default=60, ge=0, le=300, description="Most seconds that `Prefer: wait` is honoured for."
    )

    rate_limit_per_minute: int = Field(
        default=30_000,
        ge=0,
        le=1_000_000,
        description="Requests that one caller may make a minute, for good; 0: no limit. The default is 25 times "
        "what a page costs that polls 20 operations each second: it stops programs that went wild, not people.",
    )
    rate_limit_burst: int = Field(
        default=30_000, ge=1, le=10_000_000, description="Requests that one caller may make at once after a rest."
    )
    creations_per_hour: int = Field(
        default=500,
        ge=0,
        le=1_000_000,
        description="Tenants that one caller may create at once after a rest, and per hour from then on; 0: no "
        "limit. A repeat that finds its operation does not count.",
    )
    rate_limit_failed_per_minute: int = Field(
        default=60,
        ge=0,
        le=1_000_000,
        description="Requests without a valid key or token that one address (IPv6: /64) may make a minute; 0: no "
        "limit.",
    )
    rate_limit_failed_burst: int = Field(
        default=120, ge=1, le=10_000_000, description="The same, at once after a rest."
    )
    rate_limit_anonymous_per_minute: int = Field(
        default=300,
        ge=0,
        le=1_000_000,
        description="Requests of the documentation and of unknown paths that one address (IPv6: /64) may make a "
        "minute; 0: no limit. Probes and metrics don't count.",
    )
    rate_limit_anonymous_burst: int = Field(
        default=300, ge=1, le=10_000_000, description="The same, at once after a rest."
    )
    redis_url: RedisUrl | None = Field(
        default=None,
        description="Redis (`redis://…`, `rediss://…`) in which all gateways count together; else each counts alone.",
    )
    max_body_bytes: int = Field(
        default=256 * 1024,
        ge=1024,
        le=64 * 1024 * 1024,
        description="Largest body of a request; the longest valid one has some 100 KiB. `/codec/decode` takes 4 MiB, "
        "since a payload of Temporal's may have 2.",
    )
    max_header_bytes: int = Field(
        default=32 * 1024, ge=1024, le=1024 * 1024, description="Largest request line and headers together."
    )
    request_header_timeout: float = Field(
        default=10.0, gt=0, le=600, description="Seconds that a client may take to send request line and headers."
    )
    body_timeout: float = Field(
        default=30.0, gt=0, le=3600, description="Seconds that a client may take to send the whole body."
    )
    send_timeout: float = Field(
        default=30.0, gt=0, le=3600, description="Seconds that an answer may wait for a client that does not read."
    )
    keep_alive_timeout: int = Field(
        default=75,
        ge=1,
        le=3600,
        description="Seconds that an idle connection is kept; more than proxies keep theirs (usually 60).",
    )
    max_concurrent_requests: int = Field(
        default=1000,
        ge=1,
        le=100_000,
        description="Requests that a gateway works on at once, those that wait by `Prefer` too; others get a 503. "
        "One caller may have half of them. Neither probes nor event streams count.",
    )
    max_event_streams: int = Field(
        default=1000,
        ge=1,
        le=100_000,
        description="Event streams that a gateway has open at once; others get a 503. One caller may have a fifth.",
    )
    max_connections: int = Field(
        default=2500,
        ge=1,
        le=1_000_000,
        description="Connections that a gateway has open at once; more than requests and streams together. A new one "
        "takes the place of the one that has been idle for longest, or else gets a 503.",
    )
    forwarded_allow_ips: ProxyAddresses = Field(
        default="127.0.0.1,::1",
        description="Addresses or networks, by comma, of proxies whose `X-Forwarded-For` and `-Proto` are believed.",
    )
    cors_origins: Origins | None = Field(
        default=None,
        description="Origins, by comma, whose pages may call the gateway, like `https://admin.example.com`.",
    )
