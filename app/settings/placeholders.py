"""Tells secrets that somebody forgot to set: words of examples, templates that nobody filled in."""

import re
from urllib.parse import unquote, urlsplit

# fmt: off
WORDS = frozenset({
    "admin", "alga", "default", "dummy", "empty", "example", "examplepassword", "fixme", "letmein", "mypassword",
    "mysecret", "none", "null", "password", "password1", "password123", "passwd", "postgres", "pass", "redis",
    "root", "secret", "secretkey", "supersecret", "tbd", "test", "testing", "todo", "user", "xxx",
})
# fmt: on
BEGINNINGS = ("changeit", "changeme", "changethis", "insert", "placeholder", "replace", "yourpassword", "yoursecret")
# `${NAME}`, `$(NAME)`, `{{ name }}` and `<name>`, whole.
TEMPLATE = re.compile(r"\$\{.*\}|\$\(.*\)|\{\{.*\}\}|<.*>|%\(.*\)s", re.DOTALL)
NOT_A_LETTER = re.compile(r"[^a-z0-9]")


def is_placeholder(secret: str) -> bool:
    """Whether it is what people write where a secret is to come: a word, one repeated character, a template."""
    letters = NOT_A_LETTER.sub("", secret.lower())
    return (
        letters in WORDS
        or letters.startswith(BEGINNINGS)
        or len(set(secret)) <= 1
        or TEMPLATE.fullmatch(secret.strip()) is not None
    )


def password_of(url: str) -> str | None:
    """The password in a URL; none where there is none, which is well where a certificate or a socket counts."""
    try:
        password = urlsplit(url).password
    except ValueError:
        return None
    return unquote(password) if password is not None else None
