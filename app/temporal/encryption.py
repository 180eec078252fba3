"""Encrypts the payloads of our workflows with AES-256-GCM, bound to the ids of the key and the workflow."""

import base64
import os
from collections.abc import Sequence
from enum import Enum, auto
from typing import Final, Self

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic_core import from_json, to_json
from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    ActivitySerializationContext,
    PayloadCodec,
    SerializationContext,
    WithSerializationContext,
    WorkflowSerializationContext,
)

from app.crypto.payload_keys import KeyRing
from app.temporal.conversion import is_memo, is_own
from app.temporal.foreign_payloads import ENCODING, JSON, NOTHING, read_foreign
from workflows.operations.kinds import KINDS
from workflows.tenants import steps  # noqa: F401 - registers the kinds, by which `is_own_id` decides

ENCRYPTED: Final = b"binary/encrypted"
# Marks an encrypted payload, whatever its encoding.
KEY_ID: Final = "encryption-key-id"
# Metadata within the encrypted payload.
BOUND_TO: Final = "workflow-id"
# Associated data, before the key's id; another layout gets another text.
LAYOUT = b"alga-tenants payload 1\n"
# NIST SP 800-38D allows 2^32 payloads per key with random nonces of 96 bits, enough for some hundred million tenants.
NONCE_BYTES = 12

log = structlog.get_logger(__name__)


class PayloadError(Exception):
    """A payload can't be encrypted or decrypted; the message says why and what to do, and holds no payload."""


class ForgedPayloadError(PayloadError):
    """A payload was changed, or belongs to another workflow."""


class Role(Enum):
    """The user of a codec. A replay runs no activity, and may read histories that were never encrypted."""

    CLIENT = auto()
    WORKER = auto()
    REPLAY = auto()


class EncryptionCodec(PayloadCodec, WithSerializationContext):
    """Encrypts whole payloads, and binds each to its workflow, so that it is invalid in another one.

    Plaintext payloads come from clients of Temporal such as Alga's. Those for workflows are read by `read_foreign`;
    those for or from activities are rejected.

    An encrypted memo is a JSON string, because clients list workflows with their memos and fail on an encoding that
    they don't know.

    A worker's codec leaves results in clear if the workflow id is not one of our gateway's, because the client that
    chose the id, such as Alga's, has no key; messages between our workflows it encrypts all the same. It replaces
    forged payloads by null, because an error would be raised again on every attempt.
    """

    def __init__(
        self, ring: KeyRing, role: Role = Role.CLIENT, *, context: SerializationContext | None = None
    ) -> None:
        self._ring = ring
        self._role = role
        self._context = context
        self._workflow_id: str | None = getattr(context, "workflow_id", None)

    def with_context(self, context: SerializationContext) -> Self:
        """Return the codec for the payloads of one workflow or activity."""
        return type(self)(self._ring, self._role, context=context)

    @property
    def _returns_plaintext(self) -> bool:
        if self._role is not Role.WORKER or not isinstance(self._context, WorkflowSerializationContext):
            return False
        return not KINDS.is_own_id(self._context.workflow_id)

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Encrypt; raises `PayloadError` without a key."""
        is_plaintext = self._returns_plaintext
        return [payload if is_plaintext and not is_own(payload) else self._encrypted(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Decrypt payloads; plaintext ones are read by `read_foreign`, or returned as they are without a context.

        Raises `PayloadError` for payloads that were changed, belong to another workflow or need an unknown key, and
        for plaintext payloads of activities.
        """
        if self._role is not Role.CLIENT and isinstance(self._context, WorkflowSerializationContext):
            # Our workflows, signals and updates take at most one argument; another one would fail on every attempt.
            payloads = payloads[:1]
        if all(is_encrypted(payload) for payload in payloads):
            return [self._decrypted_or_nothing(payload) for payload in payloads]
        if isinstance(self._context, ActivitySerializationContext) and self._role is not Role.REPLAY:
            raise PayloadError("an activity's payload was not encrypted by us, so it is rejected")
        if not isinstance(self._context, WorkflowSerializationContext):
            return [self._decrypted(payload) if is_encrypted(payload) else payload for payload in payloads]
        return [read_foreign(payload) for payload in payloads]

    def _encrypted(self, payload: Payload) -> Payload:
        key_id = self._ring.current
        if key_id is None:
            raise PayloadError("there is no key to encrypt payloads with; set PAYLOAD_KEYS or NEXTAUTH_SECRET")
        if self._workflow_id is not None:
            payload = Payload(metadata={**payload.metadata, BOUND_TO: self._workflow_id.encode()}, data=payload.data)
        nonce = os.urandom(NONCE_BYTES)
        sealed = AESGCM(self._ring.keys[key_id]).encrypt(nonce, payload.SerializeToString(), _bound(key_id.encode()))
        encoding, data = ENCRYPTED, nonce + sealed
        if is_memo(payload):
            encoding, data = JSON, to_json(base64.b64encode(data).decode())
        return Payload(metadata={ENCODING: encoding, KEY_ID: key_id.encode()}, data=data)

    def _decrypted_or_nothing(self, payload: Payload) -> Payload:
        try:
            return self._decrypted(payload)
        except ForgedPayloadError as error:
            if self._role is Role.CLIENT or not isinstance(self._context, WorkflowSerializationContext):
                raise
            log.warning("a forged payload was replaced by null", workflow_id=self._workflow_id, reason=str(error))
            return NOTHING

    def _decrypted(self, payload: Payload) -> Payload:
        key_id = payload.metadata[KEY_ID]
        shown = key_id.decode(errors="backslashreplace")
        key = self._ring.keys.get(shown)
        if key is None:
            known = ", ".join(self._ring.keys) or "none"
            raise PayloadError(
                f"a payload was encrypted with key {shown!r}, which is not known here (known: {known}); "
                "add it to PAYLOAD_KEYS, or set the NEXTAUTH_SECRET that it was derived from"
            )
        try:
            data = _sealed_data(payload)
            nonce, sealed = data[:NONCE_BYTES], data[NONCE_BYTES:]
            opened = Payload.FromString(AESGCM(key).decrypt(nonce, sealed, _bound(key_id)))
        except (InvalidTag, ValueError):
            raise ForgedPayloadError(f"a payload of key {shown!r} was changed or cut short") from None
        bound_to = opened.metadata.pop(BOUND_TO, b"")
        if self._workflow_id is not None and bound_to != self._workflow_id.encode():
            raise ForgedPayloadError(f"a payload of key {shown!r} belongs to another workflow")
        return opened


def is_encrypted(payload: Payload) -> bool:
    """Return whether the payload is encrypted, or claims to be."""
    return KEY_ID in payload.metadata


def _sealed_data(payload: Payload) -> bytes:
    """Return nonce and ciphertext; raises `ValueError` if there are none."""
    if payload.metadata.get(ENCODING) == ENCRYPTED:
        return payload.data
    text = from_json(payload.data)
    if not isinstance(text, str):
        raise ValueError("an encrypted memo must be a string")  # noqa: TRY004 - as from the other faults
    return base64.b64decode(text, validate=True)


def _bound(key_id: bytes) -> bytes:
    return LAYOUT + key_id
