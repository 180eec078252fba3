from collections.abc import Mapping
from typing import Any

import pytest

from activities.alga.passwords import PasswordHasher, generate_password

SECRET = "a secret of the installation"


def test_a_hash_of_alga_verifies(golden: Mapping[str, Any]) -> None:
    fact = golden["password_hash"]
    hasher = PasswordHasher(fact["secret"])
    assert hasher.verify(fact["password"], fact["hashed_password"])
    assert not hasher.verify(fact["password"] + "x", fact["hashed_password"])
    assert not PasswordHasher("another secret").verify(fact["password"], fact["hashed_password"])


def test_a_hash_has_algas_format() -> None:
    salt, key = PasswordHasher(SECRET).hash("correct horse").split(":")
    assert (len(salt), len(key)) == (24, 128)
    assert salt == salt.lower()


def test_the_same_password_has_another_hash_each_time() -> None:
    hasher = PasswordHasher(SECRET)
    assert hasher.hash("correct horse") != hasher.hash("correct horse")


def test_lengths_rounds_and_digest_can_be_set() -> None:
    hasher = PasswordHasher(SECRET, salt_bytes=16, iterations=2, key_length=32, algorithm="sha256")
    stored = hasher.hash("correct horse")
    assert [len(part) for part in stored.split(":")] == [32, 64]
    assert hasher.verify("correct horse", stored)
    assert not PasswordHasher(SECRET, salt_bytes=16, iterations=3, key_length=32, algorithm="sha256").verify(
        "correct horse", stored
    )


@pytest.mark.parametrize("stored", ["", ":", "no colon", "salt:", "zz:zz", "salz:schlüssel"])
def test_what_is_no_hash_verifies_nothing(stored: str) -> None:
    assert not PasswordHasher(SECRET).verify("correct horse", stored)


def test_the_secret_is_not_in_the_repr() -> None:
    assert SECRET not in repr(PasswordHasher(SECRET))


def test_generated_passwords_are_long_mixed_and_never_the_same() -> None:
    passwords = {generate_password() for _ in range(200)}
    assert len(passwords) == 200
    for password in passwords:
        assert len(password) == 20
        assert any(sign.isupper() for sign in password)
        assert any(sign.islower() for sign in password)
        assert any(sign.isdigit() for sign in password)
        assert not set(password) & set("0O1lI ")
