"""How values become payloads, before any encryption; the same for gateway, worker, replay and tests."""

from typing import Any, Final

from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import CompositePayloadConverter, DataConverter

from workflows.operations.messages import OperationSnapshot

PRIVATE: Final = "alga-tenants-private"


# The SDK makes a converter for every activation of a workflow. What its parts know of types is kept by these.
_PARTS = tuple(PydanticPayloadConverter().converters.values())


class OperationPayloadConverter(CompositePayloadConverter):
    """Pydantic's JSON, and a mark on what nobody but our own processes reads."""

    def __init__(self) -> None:
        super().__init__(*_PARTS)

    def to_payloads(self, values: Any) -> list[Payload]:
        """Payloads in the order of the values."""
        payloads = super().to_payloads(values)
        for value, payload in zip(values, payloads, strict=True):
            if isinstance(value, OperationSnapshot):
                payload.metadata[PRIVATE] = b"1"
        return payloads


def is_private(payload: Payload) -> bool:
    """Whether nobody but our own processes reads it: the memo, which says who asked for what."""
    return PRIVATE in payload.metadata


DATA_CONVERTER = DataConverter(payload_converter_class=OperationPayloadConverter)
"""Without encryption; `app.temporal.client.data_converter` adds it."""
