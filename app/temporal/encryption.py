"""Encryption of all that Temporal keeps of our workflows: AES-256-GCM, the key's id bound to what it encrypts."""

import os
from collections.abc import Sequence
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    PayloadCodec,
    SerializationContext,
    WithSerializationContext,
    WorkflowSerializationContext,
)

from app.payload_keys import KeyRing
from app.temporal.conversion import is_private
from workflows.kinds import KINDS

ENCODING: Final = "encoding"
ENCRYPTED: Final = b"binary/encrypted"
KEY_ID: Final = "encryption-key-id"
# Bound as associated data before the key's id: another layout will be another one.
LAYOUT = b"alga-tenants payload 1\n"
# NIST SP 800-38D: random nonces of 96 bits are good for 2^32 payloads of one key, some hundred million tenants.
NONCE_BYTES = 12


class PayloadError(Exception):
    """A payload can't be decrypted, or none encrypted; the message says why and what to do, and shows no payload."""


class EncryptionCodec(PayloadCodec, WithSerializationContext):
    """Encrypts each payload whole, and decrypts those that are; others, which Alga's own client sends, pass.

    With `answers_foreign_clients`, which is for workers, answers of workflows under other ids than our gateway's stay
    readable: whoever chose the id, as Alga's client does, has no key. What only we read of them is encrypted as well.
    """

    def __init__(self, ring: KeyRing, *, answers_foreign_clients: bool = False, is_answer: bool = False) -> None:
        self._ring = ring
        self._answers_foreign_clients = answers_foreign_clients
        self._is_answer = is_answer

    def with_context(self, context: SerializationContext) -> Self:
        """The codec for the payloads of one workflow or activity."""
        is_answer = (
            self._answers_foreign_clients
            and isinstance(context, WorkflowSerializationContext)
            and not KINDS.is_own_id(context.workflow_id)
        )
        if is_answer == self._is_answer:
            return self
        return type(self)(self._ring, answers_foreign_clients=self._answers_foreign_clients, is_answer=is_answer)

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Encrypt; raises `PayloadError` without a key."""
        return [
            payload if self._is_answer and not is_private(payload) else self._encrypted(payload)
            for payload in payloads
        ]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Decrypt what is encrypted; raises `PayloadError` for what was changed, or needs a key that is not there."""
        return [self._decrypted(payload) if is_encrypted(payload) else payload for payload in payloads]

    def _encrypted(self, payload: Payload) -> Payload:
        key_id = self._ring.current
        if key_id is None:
            raise PayloadError("there is no key to encrypt payloads with; set PAYLOAD_KEYS or NEXTAUTH_SECRET")
        nonce = os.urandom(NONCE_BYTES)
        sealed = AESGCM(self._ring.keys[key_id]).encrypt(nonce, payload.SerializeToString(), _bound(key_id.encode()))
        return Payload(metadata={ENCODING: ENCRYPTED, KEY_ID: key_id.encode()}, data=nonce + sealed)

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
        nonce, sealed = payload.data[:NONCE_BYTES], payload.data[NONCE_BYTES:]
        try:
            opened = AESGCM(key).decrypt(nonce, sealed, _bound(key_id))
        except (InvalidTag, ValueError):
            raise PayloadError(f"a payload of key {shown!r} was changed or cut short") from None
        return Payload.FromString(opened)


def is_encrypted(payload: Payload) -> bool:
    """Whether it is one of ours, by its metadata."""
    return payload.metadata.get(ENCODING) == ENCRYPTED and KEY_ID in payload.metadata


def _bound(key_id: bytes) -> bytes:
    return LAYOUT + key_id
