"""Signs certificates with a key that the database does not hold."""

import hmac
from dataclasses import dataclass
from hashlib import sha256
from typing import Self

from pydantic import ValidationError

from activities.canonical_json import canonical, parse_document
from activities.certificates.certificate import Certificate

MAC = "mac"


class CertificateInvalidError(Exception):
    """A certificate is unreadable, was changed, or was signed with another key; the message says which."""


@dataclass(frozen=True)
class SignedCertificate:
    """The canonical text of a certificate, and its MAC."""

    text: str
    mac: bytes

    @classmethod
    def parse(cls, file: str) -> Self:
        """Read the JSON that `json` returns, however it is formatted; raise `CertificateInvalidError`."""
        try:
            document = parse_document(file)
            mac = bytes.fromhex(document.pop(MAC))
            return cls(canonical(document), mac)
        except KeyError:
            raise CertificateInvalidError(f"the certificate has no {MAC}") from None
        except (ValueError, TypeError, RecursionError) as error:
            raise CertificateInvalidError(f"the certificate can't be read: {error}") from None

    @property
    def json(self) -> str:
        """The certificate with its MAC as JSON, for a file."""
        return canonical({**parse_document(self.text), MAC: self.mac.hex()})


class CertificateSigner:
    """Computes and checks the MAC (HMAC-SHA-256) of certificates."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def sign(self, certificate: Certificate) -> SignedCertificate:
        """Return the certificate with its MAC."""
        return SignedCertificate(certificate.text, self._mac(certificate.text))

    def open(self, signed: SignedCertificate) -> Certificate:
        """Return what is certified; raise `CertificateInvalidError` if the MAC is not that of the text."""
        if not hmac.compare_digest(signed.mac, self._mac(signed.text)):
            raise CertificateInvalidError("the certificate was changed, or signed with another key")
        try:
            return Certificate.model_validate_json(signed.text)
        except ValidationError:
            raise CertificateInvalidError("the certificate is genuine, but a newer version wrote it") from None

    def _mac(self, text: str) -> bytes:
        return hmac.digest(self._key, text.encode(), sha256)
