"""Decrypts the payloads of workflow histories for people."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from activities.audit.events import Action
from app.audit.recorder import AuditRecorder
from app.auth.callers import Requester
from app.gateway.codec.documents import CodecPayloads
from app.gateway.codec.problems import PayloadUnreadableError
from app.gateway.http.body_limits import check_body
from app.gateway.http.problems.request_problems import MalformedJsonError, PathNotFoundError
from app.temporal.encryption import EncryptionCodec, PayloadError

# A payload has about ten values.
MAX_VALUES = 20_000


class Decoding:
    """Decrypts payloads for callers that may see all tenants, and records each call in the audit trail.

    Work that grows with the size of a body is done by one thread, so that it neither blocks the event loop nor takes
    memory for more than one request at a time.
    """

    def __init__(self, codec: EncryptionCodec, recorder: AuditRecorder) -> None:
        self._codec = codec
        self._recorder = recorder
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="decoding")

    async def parse(self, body: bytes) -> CodecPayloads:
        """Return the payloads in a body.

        Raises:
            RequestValidationError: the body does not contain payloads.
            ProblemError: the body is not acceptable JSON; see `check_body`.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, _parsed, body)

    async def decode(self, sent: CodecPayloads, requester: Requester) -> bytes:
        """Return the document of the decrypted payloads. Payloads that were not encrypted are left unchanged.

        Raises:
            ProblemError: 404 for a caller that is bound to a tenant, because a payload does not name its tenant. 422
                if a payload can't be decrypted.
        """
        if requester.caller.tenant_id is not None:
            raise PathNotFoundError(is_denial=True)
        # The codec's methods are coroutines that never wait.
        document = await asyncio.get_running_loop().run_in_executor(
            self._thread, lambda: asyncio.run(self._decoded(sent))
        )
        event = requester.audit_event(Action.PAYLOADS_DECODE, details={"payloads": len(sent.payloads)})
        await self._recorder.record_throttled(event)
        return document

    def close(self) -> None:
        """Stop the thread."""
        self._thread.shutdown(cancel_futures=True)

    async def _decoded(self, sent: CodecPayloads) -> bytes:
        decoded = []
        for place, payload in enumerate(sent.payloads):
            try:
                decoded += await self._codec.decode([payload.as_payload()])
            except PayloadError as error:
                raise PayloadUnreadableError.of_field(f"payloads.{place}", str(error)) from None
        return CodecPayloads.of(decoded).model_dump_json().encode()


def _parsed(body: bytes) -> CodecPayloads:
    check_body(body, MAX_VALUES)
    if not body:
        raise RequestValidationError([{"type": "missing", "loc": ("body",), "msg": "is required"}])
    try:
        return CodecPayloads.model_validate(json.loads(body))
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        raise RequestValidationError([{**fault, "loc": ("body", *fault["loc"])} for fault in faults]) from None
    except json.JSONDecodeError as error:
        fault = {"type": "json_invalid", "loc": ("body", error.pos), "msg": error.msg, "ctx": {"error": error.msg}}
        raise RequestValidationError([fault], body=error.doc) from None
    except ValueError:
        raise MalformedJsonError from None
