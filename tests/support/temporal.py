"""How tests read what an installation has written to Temporal."""

from dataclasses import replace

from temporalio.converter import DataConverter, DefaultFailureConverterWithEncodedAttributes

from app.payload_keys import KeyRing
from app.temporal.conversion import DATA_CONVERTER
from app.temporal.encryption import EncryptionCodec


def converter_of(secret: str) -> DataConverter:
    """The converter of an installation that has this `NEXTAUTH_SECRET` and no other key."""
    return replace(
        DATA_CONVERTER,
        payload_codec=EncryptionCodec(KeyRing.of(None, secret)),
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
    )
