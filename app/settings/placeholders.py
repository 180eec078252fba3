"""Recognizes secrets that were never set: example words, and templates that were not filled in."""

import re
from urllib.parse import unquote, urlsplit

# fmt: off
WORDS = frozenset({
    "admin", "alga", "default", "dummy", "empty", "example", "examplepassword", "fixme", "letmein", "mypassword",
    "mysecret", "none", "null", "password", "password1", "password123", "passwd", "postgres", "pass", "redis",
    "root", "secret", "secretkey", "supersecret", "tbd", "test", "testing", "todo", "user", "xxx",
})
# fmt: on
PREFIXES = ("changeit", "changeme", "changethis", "insert", "placeholder", "replace", "yourpassword", "yoursecret")
# `${NAME}`, `$(NAME)`, `{{ name }}` and `<name>`, whole.
TEMPLATE = re.compile(r"\$\{.*\}|\$\(.*\)|\{\{.*\}\}|<.*>|%\(.*\)s", re.DOTALL)


def is_placeholder(secret: str) -> bool:
    """Return whether this is an example word, one repeated character, or a template."""
    letters = re.sub(r"[^a-z0-9]", "", secret.lower())
    return (
        letters in WORDS
        or letters.startswith(PREFIXES)
        or len(set(secret)) <= 1
        or TEMPLATE.fullmatch(secret.strip()) is not None
    )


def url_password(url: str) -> str | None:
    """Return the password in a URL, None if it has none, as with client certificates or sockets."""
    try:
        password = urlsplit(url).password
    except ValueError:
        return None
    return unquote(password) if password is not None else None
