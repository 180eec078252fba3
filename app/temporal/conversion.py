"""Converts values to payloads before encryption; shared by gateway, worker, replay and tests."""

from typing import Any, Final

from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import CompositePayloadConverter, DataConverter

from workflows.operations.messages import OperationSnapshot

PRIVATE: Final = "alga-tenants-private"

# The SDK makes a converter for every activation of a workflow; these parts cache type adapters across them.
_PARTS = tuple(PydanticPayloadConverter().converters.values())


class OperationPayloadConverter(CompositePayloadConverter):
    """Converts to Pydantic's JSON, and marks snapshots as private."""

    def __init__(self) -> None:
        super().__init__(*_PARTS)

    def to_payloads(self, values: Any) -> list[Payload]:
        """Convert values to payloads, in the same order."""
        payloads = super().to_payloads(values)
        for value, payload in zip(values, payloads, strict=True):
            if isinstance(value, OperationSnapshot):
                payload.metadata[PRIVATE] = b"1"
        return payloads


def is_private(payload: Payload) -> bool:
    """Return whether only our own processes read the payload: a memo, which names the caller."""
    return PRIVATE in payload.metadata


# Without encryption, which `app.temporal.client.data_converter` adds.
DATA_CONVERTER = DataConverter(payload_converter_class=OperationPayloadConverter)
