"""Checks the TLS files of clients, and makes a context of them."""

import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key


class TlsFileError(Exception):
    """A TLS file can't be used; the message says why and quotes nothing of the file."""


def check_authorities(path: Path) -> None:
    """Raise `TlsFileError` unless the file holds certificates in PEM."""
    _certificates(path)


def check_pair(certificate: Path, key: Path) -> None:
    """Raise `TlsFileError` unless the files hold, in PEM, a certificate (with its chain) and its private key."""
    first = _certificates(certificate)[0]
    try:
        private = load_pem_private_key(_content(key), password=None)
    except TypeError:
        raise TlsFileError(f"{key} is encrypted; give a key without a passphrase") from None
    except ValueError:
        raise TlsFileError(f"{key} holds no private key in PEM") from None
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if private.public_key().public_bytes(*form) != first.public_key().public_bytes(*form):
        raise TlsFileError(f"{key} is not the key of the certificate in {certificate}")


def client_context(
    *, authorities: Path | None, certificate: Path | None, key: Path | None, verified: bool, named: bool
) -> ssl.SSLContext:
    """Return a context for clients, TLS 1.2 or newer; reads the files.

    Without `authorities` the system's are trusted. `verified` checks who issued the server's certificate, and `named`
    also checks that it names the host. `certificate` and `key` are the client's; give both or neither. Raises
    `OSError` (`ssl.SSLError` is one) if a file can't be used.
    """
    context = ssl.create_default_context(cafile=authorities)
    context.check_hostname = named
    context.verify_mode = ssl.CERT_REQUIRED if verified else ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate is not None:
        # With an empty password an encrypted key fails instead of asking for its passphrase on a terminal.
        context.load_cert_chain(certificate, key, password="")
    return context


def _certificates(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_content(path))
    except ValueError:
        raise TlsFileError(f"{path} holds no certificate in PEM") from None


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TlsFileError(f"{path} can't be read: {error.strerror}") from None
