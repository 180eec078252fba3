"""Where traces go, with OpenTelemetry's own names of these settings."""

from typing import Annotated
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr

from app.settings.base import ProcessSettings
from app.settings.types import ProxyAddresses, checked_by, split_list


def _http_url(value: str) -> None:
    try:
        parts = urlsplit(value)
        is_valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_valid = False
    if not is_valid or parts.query or parts.fragment:
        raise ValueError("must be a URL like http://collector:4318")
    if "@" in parts.netloc:
        raise ValueError("must not hold credentials; put them into OTEL_EXPORTER_OTLP_HEADERS")


def parse_headers(value: str) -> dict[str, str]:
    """Return headers of `name=value,…`, values percent-encoded; raises `ValueError`, which does not show them."""
    pairs = [item.partition("=") for item in split_list(value)]
    headers = {name.strip().lower(): unquote(text.strip()) for name, _, text in pairs}
    # Characters that aren't printable could end a header and begin another one.
    if not all(name.isprintable() and text.isprintable() and name and text for name, text in headers.items()):
        raise ValueError("must be headers like name=value,name=value")
    return headers


class TelemetrySettings(ProcessSettings):
    """Traces, which are off without an endpoint."""

    otel_exporter_otlp_endpoint: Annotated[str, checked_by(_http_url)] | None = None
    """Where traces go by OTLP over HTTP, like `http://collector:4318`; `/v1/traces` is added. Without it no traces
    are made."""
    otel_exporter_otlp_headers: Annotated[SecretStr, checked_by(parse_headers)] | None = None
    """Headers for it, like `name=value,name=value`, values percent-encoded."""
    otel_traces_sampler_arg: float = Field(default=1.0, ge=0, le=1)
    """Share of traces that are kept; the decision of a trusted caller takes precedence."""
    trace_context_allow_ips: ProxyAddresses = "127.0.0.0/8,::1,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7"
    """Callers, by address or network, whose `traceparent` is trusted; requests of others begin new traces."""

    @property
    def traces_endpoint(self) -> str | None:
        """The URL that spans are sent to, None if they are not exported."""
        base = self.otel_exporter_otlp_endpoint
        return f"{base.rstrip('/')}/v1/traces" if base is not None else None

    @property
    def traces_headers(self) -> dict[str, str]:
        """The headers to send spans with."""
        headers = self.otel_exporter_otlp_headers
        return parse_headers(headers.get_secret_value()) if headers is not None else {}
