"""Where processes listen, and what limits the gateway sets its clients."""

from pydantic import Field

from app.settings.base import ProcessSettings
from app.settings.types import Origins, Port, ProxyAddresses, RedisUrl


class GatewaySettings(ProcessSettings):
    """Addresses and ports, limits of requests, proxies and origins."""

    gateway_host: str = "0.0.0.0"  # noqa: S104 - a container's port is opened by its service
    """Address that the gateway listens on."""
    gateway_port: Port = 8000
    """Port that the gateway listens on."""
    worker_probe_host: str = "0.0.0.0"  # noqa: S104 - see gateway_host
    """Address of the worker's probes."""
    worker_probe_port: Port = 8001
    """Port of the worker's probes."""
    shutdown_delay: float = Field(default=0.0, ge=0, le=300)
    """Seconds that a gateway keeps serving after SIGTERM, with `/readyz` at 503, before it refuses new connections;
    gives load balancers time to notice."""
    console_session: float = Field(default=28_800.0, ge=60, le=604_800)
    """Maximum seconds that a person stays signed in to the console; never longer than the key or token is valid."""
    prefer_wait_max: int = Field(default=60, ge=0, le=300)
    """Maximum seconds that `Prefer: wait` is honoured for."""

    rate_limit_per_minute: int = Field(default=30_000, ge=0, le=1_000_000)
    """Sustained requests per minute per caller; 0: no limit. The default, 25 times what a page costs that polls 20
    operations each second, only stops runaway clients."""
    rate_limit_burst: int = Field(default=30_000, ge=1, le=10_000_000)
    """Requests that one caller may make at once after a pause."""
    creations_per_hour: int = Field(default=500, ge=0, le=1_000_000)
    """Tenants that one caller may create at once after a pause, and per hour from then on; 0: no limit. A repeated
    request that finds its operation does not count."""
    rate_limit_failed_per_minute: int = Field(default=60, ge=0, le=1_000_000)
    """Requests per minute without a valid key or token per address (IPv6: /64); 0: no limit."""
    rate_limit_failed_burst: int = Field(default=120, ge=1, le=10_000_000)
    """The same, at once after a pause."""
    rate_limit_anonymous_per_minute: int = Field(default=300, ge=0, le=1_000_000)
    """Requests per minute for the documentation and unknown paths per address (IPv6: /64); 0: no limit. Probes and
    metrics don't count."""
    rate_limit_anonymous_burst: int = Field(default=300, ge=1, le=10_000_000)
    """The same, at once after a pause."""
    redis_url: RedisUrl | None = None
    """Redis (`redis://…`, `rediss://…`) in which all gateways count together; without it each counts alone."""
    max_body_bytes: int = Field(default=256 * 1024, ge=1024, le=64 * 1024 * 1024)
    """Maximum size of a request body; the longest valid one has some 100 KiB. `/codec/decode` takes 4 MiB, since a
    Temporal payload may have 2."""
    max_header_bytes: int = Field(default=32 * 1024, ge=1024, le=1024 * 1024)
    """Maximum size of request line and headers together."""
    request_header_timeout: float = Field(default=10.0, gt=0, le=600)
    """Seconds that a client may take to send request line and headers."""
    body_timeout: float = Field(default=30.0, gt=0, le=3600)
    """Seconds that a client may take to send the whole body."""
    send_timeout: float = Field(default=30.0, gt=0, le=3600)
    """Seconds that a response may wait for a client that does not read."""
    keep_alive_timeout: int = Field(default=75, ge=1, le=3600)
    """Seconds that an idle connection is kept; longer than proxies keep theirs (usually 60)."""
    max_concurrent_requests: int = Field(default=1000, ge=1, le=100_000)
    """Requests that a gateway handles at once, including those waiting by `Prefer`; further ones get a 503. One
    caller may use half of them. Probes and event streams don't count."""
    max_event_streams: int = Field(default=1000, ge=1, le=100_000)
    """Event streams that a gateway has open at once; further ones get a 503. One caller may use a fifth."""
    max_connections: int = Field(default=2500, ge=1, le=1_000_000)
    """Connections that a gateway has open at once; more than requests and streams together. A new one replaces the
    one that has been idle for longest, or else gets a 503."""
    forwarded_allow_ips: ProxyAddresses = "127.0.0.1,::1"
    """Addresses or networks, separated by commas, of proxies whose `X-Forwarded-For` and `-Proto` are trusted."""
    cors_origins: Origins | None = None
    """Origins, separated by commas, whose pages may call the gateway, like `https://admin.example.com`."""
