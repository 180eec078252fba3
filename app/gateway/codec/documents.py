"""Payloads as Temporal's remote codecs send them: protobuf's JSON of `temporal.api.common.v1.Payloads`."""

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError
from temporalio.api.common.v1 import Payload

# Temporal's UI sends those of one event or of a page of them.
MAX_PAYLOADS = 1000


def _decoded(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    try:
        return base64.b64decode(value, validate=True) if isinstance(value, str) else _refuse()
    except (binascii.Error, ValueError):
        return _refuse()


def _refuse() -> bytes:
    raise PydanticCustomError("base64", "must be base64")


Base64 = Annotated[
    bytes,
    PlainValidator(_decoded),
    PlainSerializer(lambda value: base64.b64encode(value).decode(), return_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "format": "byte",
            "pattern": "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
        }
    ),
]


class CodecPayload(BaseModel):
    """One payload; every value is base64."""

    # Newer servers may send fields that are none of ours.
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    metadata: dict[str, Base64] = Field(
        default_factory=dict,
        repr=False,
        description="`encoding` says what `data` is.",
        examples=[{"encoding": "anNvbi9wbGFpbg=="}],
    )
    data: Base64 = Field(default=b"", repr=False, examples=["eyJhIjogMX0="])

    def as_payload(self) -> Payload:
        """The payload as Temporal's SDK has it."""
        return Payload(metadata=self.metadata, data=self.data)


class CodecPayloads(BaseModel):
    """Payloads in the order in which they were sent."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    payloads: tuple[CodecPayload, ...] = Field(max_length=MAX_PAYLOADS)

    @classmethod
    def of(cls, payloads: Sequence[Payload]) -> "CodecPayloads":
        """The document of the SDK's payloads."""
        return cls(
            payloads=tuple(CodecPayload(metadata=dict(payload.metadata), data=payload.data) for payload in payloads)
        )
