"""Converts values to payloads before encryption; shared by gateway, worker, replay and tests."""

from typing import Any, Final

from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import CompositePayloadConverter, DataConverter

from workflows.operations.messages import OperationSnapshot, OwnMessage

MEMO: Final = "alga-tenants-memo"
OWN: Final = "alga-tenants-own"

# The SDK makes a converter for every activation of a workflow; these parts cache type adapters across them.
_PARTS = tuple(PydanticPayloadConverter().converters.values())


class OperationPayloadConverter(CompositePayloadConverter):
    """Converts to Pydantic's JSON, and marks memos and messages between our processes, which are always encrypted."""

    def __init__(self) -> None:
        super().__init__(*_PARTS)

    def to_payloads(self, values: Any) -> list[Payload]:
        """Convert values to payloads, in the same order."""
        payloads = super().to_payloads(values)
        for value, payload in zip(values, payloads, strict=True):
            if isinstance(value, OperationSnapshot):
                payload.metadata[MEMO] = b"1"
            elif isinstance(value, OwnMessage):
                payload.metadata[OWN] = b"1"
        return payloads


def is_memo(payload: Payload) -> bool:
    """Return whether the payload is a memo, which names the caller and which only our own processes may read."""
    return MEMO in payload.metadata


def is_own(payload: Payload) -> bool:
    """Return whether only our own processes may read and write the payload."""
    return is_memo(payload) or OWN in payload.metadata


# Without encryption, which `app.temporal.client.data_converter` adds.
DATA_CONVERTER = DataConverter(payload_converter_class=OperationPayloadConverter)
