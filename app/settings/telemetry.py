"""Where traces go, by the names that OpenTelemetry gives these settings."""

from typing import Annotated
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, Field, SecretStr

from app.settings.base import ProcessSettings
from app.settings.types import ProxyAddresses, split_list

TRACES_PATH = "/v1/traces"


def _http_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        is_fine = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_fine = False
    if not is_fine or parts.query or parts.fragment:
        raise ValueError("must be a URL like http://collector:4318")
    if "@" in parts.netloc:
        raise ValueError("must not hold credentials; they go into OTEL_EXPORTER_OTLP_HEADERS")
    return value


def _headers(value: SecretStr) -> SecretStr:
    parse_headers(value)
    return value


def parse_headers(value: SecretStr) -> dict[str, str]:
    """Headers of `name=value,…`, values percent-encoded; raises `ValueError`, which does not show them."""
    pairs = [item.partition("=") for item in split_list(value.get_secret_value())]
    headers = {name.strip().lower(): unquote(text.strip()) for name, _, text in pairs}
    # What is not printable could end a header and begin another one.
    if not all(name.isprintable() and text.isprintable() and name and text for name, text in headers.items()):
        raise ValueError("must be headers like name=value,name=value")
    return headers


class TelemetrySettings(ProcessSettings):
    """Traces, which are off without an endpoint."""

    otel_exporter_otlp_endpoint: Annotated[str, AfterValidator(_http_url)] | None = Field(
        default=None,
        description="Where traces go by OTLP over HTTP, like `http://collector:4318`; `/v1/traces` is added. Without "
        "it there are none.",
    )
    otel_exporter_otlp_headers: Annotated[SecretStr, AfterValidator(_headers)] | None = Field(
        default=None, description="Headers for it, like `name=value,name=value`, values percent-encoded."
    )
    otel_traces_sampler_arg: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="Share of traces that are kept; what a trusted caller has decided for its own holds.",
    )
    trace_context_allow_ips: ProxyAddresses = Field(
        default="127.0.0.0/8,::1,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7",
        description="Callers, by address or network, whose `traceparent` is gone on with; requests of others begin "
        "traces of their own.",
    )

    @property
    def traces_endpoint(self) -> str | None:
        """The URL that spans are sent to; none where there is nobody to send them to."""
        base = self.otel_exporter_otlp_endpoint
        return base.rstrip("/") + TRACES_PATH if base is not None else None

    @property
    def traces_headers(self) -> dict[str, str]:
        """The headers to send spans with."""
        given = self.otel_exporter_otlp_headers
        return parse_headers(given) if given is not None else {}
