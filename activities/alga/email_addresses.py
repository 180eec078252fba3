"""The one spelling of an e-mail address: two of them would be two people to a database, and one to the mail."""

import unicodedata

import email_validator

# Operators name domains of their own networks too, such as corp.local, and testers use .test; whether mail can
# be delivered is not for this service to judge. Emptying the list is the library's documented way to allow them.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()


class EmailAddressError(ValueError):
    """It is no e-mail address that a person can have; the message says why."""


def normalised_email(text: str) -> str:
    """Return the address in lower case with its domain in Unicode; raises `EmailAddressError`.

    Characters that only look like others, such as full-width ones, are refused in the part before the @, as RFC 8265
    (3.3) does in user names. In the domain they are replaced, as IDNA's mapping (UTS 46) says.
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
