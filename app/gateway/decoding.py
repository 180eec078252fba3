"""Shows people what Temporal holds encrypted."""

from activities.audit_events import Action
from app.audit_trail import requested
from app.auth.callers import Requester
from app.gateway.auditing import Auditing
from app.gateway.codec_documents import CodecPayloads
from app.gateway.problems import Fault, ProblemError
from app.temporal.encryption import EncryptionCodec, PayloadError


class Decoding:
    """Decrypts payloads for callers who may see those of all tenants, and tells the audit trail who did."""

    def __init__(self, codec: EncryptionCodec, auditing: Auditing) -> None:
        self._codec = codec
        self._auditing = auditing

    async def decode(self, sent: CodecPayloads, requester: Requester) -> CodecPayloads:
        """The payloads in clear; what was not encrypted comes back as it is.

        Raises:
            ProblemError: 404 for a caller that is bound to a tenant, because nobody can tell whose a payload is; 422
                where one can't be decrypted.
        """
        if requester.caller.tenant_id is not None:
            raise ProblemError(404, "not-found", "there is nothing at this path", is_denial=True)
        decoded = []
        for place, payload in enumerate(sent.payloads):
            try:
                decoded += await self._codec.decode([payload.as_payload()])
            except PayloadError as error:
                fault = Fault(field=f"payloads.{place}", detail=str(error))
                raise ProblemError(422, "payload-unreadable", f"payloads.{place}: {error}", errors=[fault]) from None
        await self._auditing.tell_first(
            requested(Action.PAYLOADS_DECODE, requester, details={"payloads": len(sent.payloads)})
        )
        return CodecPayloads.of(decoded)
