"""Secrets are readable with the key, the webhook and its URL only."""

import base64
import os
from uuid import uuid4

import pytest

from activities.webhooks.secrets import SecretBox, SecretUnreadableError, new_secret

URL = "https://example.com/events"


def test_a_secret_is_random_and_long_enough_for_the_standard() -> None:
    first, second = new_secret(), new_secret()
    assert first != second
    assert len(base64.b64decode(first.removeprefix("whsec_"), validate=True)) == 32


def test_a_secret_can_be_read_for_its_webhook_and_url_alone() -> None:
    box, webhook_id, secret = SecretBox(os.urandom(32)), uuid4(), new_secret()
    sealed = box.seal(webhook_id, URL, secret)
    assert box.open(webhook_id, URL, sealed) == secret
    assert secret.encode() not in sealed
    other = SecretBox(os.urandom(32))
    for opening, of, url, ciphertext in (
        (box, uuid4(), URL, sealed),
        (box, webhook_id, "https://example.com/other", sealed),
        (other, webhook_id, URL, sealed),
        (box, webhook_id, URL, sealed[:-1] + bytes([sealed[-1] ^ 1])),
        (box, webhook_id, URL, b""),
    ):
        with pytest.raises(SecretUnreadableError):
            opening.open(of, url, ciphertext)
