"""The form of an API key: `at_<id>_<secret><checksum>`, which a secret scanner can recognise without asking us."""

import re
import secrets
import string
import zlib
from dataclasses import dataclass

PREFIX = "at_"
BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
ID_LENGTH = 12
# 43 characters out of 62 are 256 bits.
SECRET_LENGTH = 43
CHECKSUM_LENGTH = 6

KEY_PATTERN = rf"{PREFIX}[0-9A-Za-z]{{{ID_LENGTH}}}_[0-9A-Za-z]{{{SECRET_LENGTH + CHECKSUM_LENGTH}}}"

_KEY = re.compile(
    rf"{PREFIX}(?P<key_id>[0-9A-Za-z]{{{ID_LENGTH}}})_(?P<secret>[0-9A-Za-z]{{{SECRET_LENGTH}}})"
    rf"(?P<checksum>[0-9A-Za-z]{{{CHECKSUM_LENGTH}}})"
)


@dataclass(frozen=True)
class ApiKey:
    """A key in its parts."""

    key_id: str
    secret: str

    @classmethod
    def generate(cls) -> "ApiKey":
        """A new key from the operating system's randomness."""
        return cls(key_id=_random(ID_LENGTH), secret=_random(SECRET_LENGTH))

    @classmethod
    def parse(cls, text: str) -> "ApiKey | None":
        """The key in a text that is nothing else; none where it has another form or a wrong checksum."""
        match = _KEY.fullmatch(text)
        if match is None:
            return None
        key = cls(key_id=match["key_id"], secret=match["secret"])
        return key if key.text == text else None

    @property
    def text(self) -> str:
        """The key as its owner has it."""
        body = f"{PREFIX}{self.key_id}_{self.secret}"
        return body + _base62(zlib.crc32(body.encode()))

    def __repr__(self) -> str:
        return f"ApiKey(key_id={self.key_id!r})"


def _random(length: int) -> str:
    return "".join(secrets.choice(BASE62) for _ in range(length))


def _base62(number: int) -> str:
    digits = []
    for _ in range(CHECKSUM_LENGTH):
        number, digit = divmod(number, len(BASE62))
        digits.append(BASE62[digit])
    return "".join(reversed(digits))
