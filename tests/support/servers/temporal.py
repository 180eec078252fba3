"""Reads what an installation has written to Temporal."""

from temporalio.converter import DataConverter

from app.crypto.payload_keys import KeyRing
from app.temporal.client import encrypting
from app.temporal.encryption import EncryptionCodec


def converter_of(secret: str) -> DataConverter:
    """Return the converter of an installation with this `NEXTAUTH_SECRET` and no other key."""
    return encrypting(codec_of(secret))


def codec_of(secret: str) -> EncryptionCodec:
    """Return the codec of that converter."""
    return EncryptionCodec(KeyRing.of(None, secret))
