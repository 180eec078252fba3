"""Senders and recipients of mails."""

import unicodedata
from dataclasses import dataclass, field
from email.headerregistry import Address
from typing import Self

import email_validator

from activities.alga.email_addresses import ascii_email, normalised_email

# The categories of Unicode that break a header, or that make a name look like another one.
INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
# They join letters and emoji, and are invisible themselves.
JOINERS = {"\N{ZERO WIDTH NON-JOINER}", "\N{ZERO WIDTH JOINER}"}


@dataclass(frozen=True)
class Mailbox:
    """An address with the name of its owner, which may be empty."""

    address: str = field(repr=False)
    name: str = field(default="", repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the mailbox in a text like `Alga <noreply@example.com>`; raises `ValueError`."""
        found = email_validator.validate_email(text, check_deliverability=False, allow_display_name=True)
        return cls(normalised_email(found.normalized), visible(found.display_name or ""))

    @property
    def header(self) -> Address:
        """The mailbox for a header, whose domain is in ASCII."""
        local_part, _, domain = ascii_email(self.address).rpartition("@")
        return Address(self.name, local_part, domain)

    @property
    def shown_name(self) -> str:
        """The name for people, or else the address."""
        return self.name or self.address

    @property
    def envelope(self) -> str:
        """The address for a mail server, whose domain is in ASCII."""
        return ascii_email(self.address)


def visible(text: str) -> str:
    """Return the text in one line, without control characters and marks that change its direction."""
    spaced = (" " if character.isspace() else character for character in text)
    shown = (
        character for character in spaced if character in JOINERS or unicodedata.category(character) not in INVISIBLE
    )
    return " ".join("".join(shown).split())
