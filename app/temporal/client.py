"""Connects to Temporal, with the data converter that gateway, worker, replay and tests share."""

import os
import socket
from dataclasses import replace
from datetime import timedelta
from importlib.metadata import version

from temporalio.client import Client, Interceptor
from temporalio.converter import DataConverter, DefaultFailureConverterWithEncodedAttributes
from temporalio.service import TLSConfig

from app.settings import Settings, TemporalSettings
from app.telemetry.tracing.current import current_tracer
from app.temporal.conversion import DATA_CONVERTER
from app.temporal.encryption import EncryptionCodec, Role

OWN_IDENTITY = "alga-tenants/"


def own_identity() -> str:
    """Return the name under which Temporal knows this process: `alga-tenants/<version>/<pid>@<host>`."""
    return f"{OWN_IDENTITY}{version('alga-tenants')}/{os.getpid()}@{socket.gethostname()}"


def data_converter(settings: TemporalSettings, *, is_worker: bool = False) -> DataConverter:
    """Return the converter with the installation's keys; a worker's lets clients without a key read results."""
    return encrypting(EncryptionCodec(settings.key_ring, Role.WORKER if is_worker else Role.CLIENT))


def replay_converter(settings: TemporalSettings) -> DataConverter:
    """Return the converter for replays, which needs no key to encrypt and keeps failures readable."""
    return replace(DATA_CONVERTER, payload_codec=EncryptionCodec(settings.key_ring.with_throwaway(), Role.REPLAY))


def encrypting(codec: EncryptionCodec) -> DataConverter:
    """Return our converter with encryption, also of the texts of failures."""
    return replace(
        DATA_CONVERTER, payload_codec=codec, failure_converter_class=DefaultFailureConverterWithEncodedAttributes
    )


async def connect(settings: TemporalSettings, *, lazy: bool = False, is_worker: bool = False) -> Client:
    """Return a client of the configured namespace; a lazy one connects at its first call.

    Raises `RuntimeError` if the server can't be reached, and `OSError` if a TLS file can't be read.
    """
    return await Client.connect(
        settings.temporal_address,
        namespace=settings.temporal_namespace,
        data_converter=data_converter(settings, is_worker=is_worker),
        tls=_tls(settings),
        api_key=settings.temporal_api_key.get_secret_value() if settings.temporal_api_key else None,
        identity=own_identity(),
        lazy=lazy,
        interceptors=_interceptors(),
    )


def _interceptors() -> list[Interceptor]:
    """Return the tracing of the client and its workers, if this process is traced."""
    tracer = current_tracer()
    if tracer is None:
        return []
    from app.telemetry.tracing.workflows import TraceContextInterceptor  # noqa: PLC0415 - takes a second to import

    return [TraceContextInterceptor(tracer)]


def _tls(settings: TemporalSettings) -> TLSConfig | bool:
    if not settings.temporal_uses_tls:
        return False
    files = (settings.temporal_tls_ca_file, settings.temporal_tls_cert_file, settings.temporal_tls_key_file)
    authorities, certificate, key = (file.read_bytes() if file is not None else None for file in files)
    return TLSConfig(
        server_root_ca_cert=authorities,
        domain=settings.temporal_tls_server_name,
        client_cert=certificate,
        client_private_key=key,
    )


def rpc_timeout(settings: Settings) -> timedelta:
    """Return the time limit of one call during an HTTP request."""
    return timedelta(seconds=settings.temporal_rpc_timeout)
