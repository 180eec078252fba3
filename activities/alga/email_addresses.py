"""Normalises e-mail addresses, because two spellings are two people to a database, and one to a mail server."""

import unicodedata

import email_validator

# Operators also use domains of their own networks, such as corp.local, and testers use .test. Emptying the list is
# the library's documented way to allow them.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()


class EmailAddressError(ValueError):
    """The text is no e-mail address; the message says why."""


def normalised_email(text: str) -> str:
    """Return the address in lower case with its domain in Unicode; raises `EmailAddressError`.

    Characters that only look like others, such as full-width ones, are refused before the @, as in RFC 8265 (3.3).
    In the domain they are replaced, as in IDNA's mapping (UTS 46).
    """
    try:
        normalised = _validated(text).normalized.lower()
    except email_validator.EmailNotValidError as error:
        raise EmailAddressError(str(error)) from None
    if unicodedata.normalize("NFKC", normalised) != normalised:
        raise EmailAddressError("it has characters that only look like others, such as full-width ones.")
    return normalised


def ascii_email(address: str) -> str:
    """Return a normalised address with its domain in ASCII (punycode)."""
    local_part, _, _ = address.rpartition("@")
    return f"{local_part}@{_validated(address).ascii_domain}"


def _validated(text: str) -> email_validator.ValidatedEmail:
    return email_validator.validate_email(text, check_deliverability=False)
