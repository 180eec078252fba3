"""The format of an API key, `at_<id>_<secret><checksum>`, which secret scanners can recognise on their own."""

import re
import secrets
import string
import zlib
from dataclasses import dataclass, field

PREFIX = "at_"
BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
ID_LENGTH = 12
# 43 characters out of 62 are 256 bits.
SECRET_LENGTH = 43
CHECKSUM_LENGTH = 6

KEY_PATTERN = rf"{PREFIX}[0-9A-Za-z]{{{ID_LENGTH}}}_[0-9A-Za-z]{{{SECRET_LENGTH + CHECKSUM_LENGTH}}}"


@dataclass(frozen=True)
class ApiKey:
    """The parts of a key."""

    key_id: str
    secret: str = field(repr=False)

    @classmethod
    def generate(cls) -> "ApiKey":
        """Return a new key from the operating system's randomness."""
        return cls(key_id=_random(ID_LENGTH), secret=_random(SECRET_LENGTH))

    @classmethod
    def parse(cls, text: str) -> "ApiKey | None":
        """Return the key that the text consists of, or None if its form or checksum is wrong."""
        if re.fullmatch(KEY_PATTERN, text) is None:
            return None
        key_id, _, secret = text.removeprefix(PREFIX).partition("_")
        key = cls(key_id=key_id, secret=secret[:SECRET_LENGTH])
        return key if key.text == text else None

    @property
    def text(self) -> str:
        """The key as its owner knows it."""
        body = f"{PREFIX}{self.key_id}_{self.secret}"
        return body + _base62(zlib.crc32(body.encode()))


def id_of(key: str) -> str:
    """Return the id in the text of a valid key."""
    return key.removeprefix(PREFIX).partition("_")[0]


def _random(length: int) -> str:
    return "".join(secrets.choice(BASE62) for _ in range(length))


def _base62(number: int) -> str:
    digits = []
    for _ in range(CHECKSUM_LENGTH):
        number, digit = divmod(number, len(BASE62))
        digits.append(BASE62[digit])
    return "".join(reversed(digits))
