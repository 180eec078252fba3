"""The connection to Temporal, with the one data converter that gateway, worker, replay and tests share."""

from datetime import timedelta

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from app.settings import Settings, TemporalSettings

DATA_CONVERTER = pydantic_data_converter


async def connect(settings: TemporalSettings, *, lazy: bool = False) -> Client:
    """A client of the configured namespace; a lazy one connects at its first call.

    Raises:
        RuntimeError: not lazy, and the server can't be reached.
    """
    return await Client.connect(
        settings.temporal_address,
        namespace=settings.temporal_namespace,
        data_converter=DATA_CONVERTER,
        lazy=lazy,
    )


def rpc_timeout(settings: Settings) -> timedelta:
    """How long one call made for an HTTP request may take."""
    return timedelta(seconds=settings.temporal_rpc_timeout)
