"""Payloads as Temporal's remote codecs send them: `temporal.api.common.v1.Payloads` in protobuf's JSON."""

import base64
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError
from temporalio.api.common.v1 import Payload

# Temporal's UI sends the payloads of one event, or of a page of events.
MAX_PAYLOADS = 1000


def _decoded(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    with suppress(ValueError):
        if isinstance(value, str):
            return base64.b64decode(value, validate=True)
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
    """A payload. Every value is base64."""

    # Newer servers may send other fields.
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    metadata: dict[str, Base64] = Field(
        default_factory=dict,
        repr=False,
        description="`encoding` names the format of `data`.",
        examples=[{"encoding": "anNvbi9wbGFpbg=="}],
    )
    data: Base64 = Field(default=b"", repr=False, examples=["eyJhIjogMX0="])

    def as_payload(self) -> Payload:
        """Return the payload as an object of Temporal's SDK."""
        return Payload(metadata=self.metadata, data=self.data)


class CodecPayloads(BaseModel):
    """Payloads in their order."""

    model_config = ConfigDict(
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        json_schema_extra={
            "examples": [{"payloads": [{"metadata": {"encoding": "anNvbi9wbGFpbg=="}, "data": "eyJhIjogMX0="}]}]
        },
    )

    payloads: tuple[CodecPayload, ...] = Field(max_length=MAX_PAYLOADS)

    @classmethod
    def of(cls, payloads: Sequence[Payload]) -> "CodecPayloads":
        """Return the document of payloads of the SDK."""
        return cls(
            payloads=tuple(CodecPayload(metadata=dict(payload.metadata), data=payload.data) for payload in payloads)
        )
