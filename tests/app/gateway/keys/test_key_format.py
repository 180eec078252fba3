import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.auth.keys.format import BASE62, KEY_PATTERN, ApiKey


def test_a_key_is_parsed_into_its_parts() -> None:
    key = ApiKey.generate()
    assert ApiKey.parse(key.text) == key


def test_a_scanner_can_recognise_a_key() -> None:
    assert re.fullmatch(KEY_PATTERN, ApiKey.generate().text)


def test_keys_differ() -> None:
    assert len({ApiKey.generate().text for _ in range(100)}) == 100


@given(place=st.integers(min_value=0, max_value=64), character=st.sampled_from(BASE62))
def test_a_changed_character_is_detected(place: int, character: str) -> None:
    text = ApiKey("0Aa1Bb2Cc3Dd", "Secret0Aa1Bb2Cc3Dd4Ee5Ff6Gg7Hh8Ii9Jj0KkLlMm").text
    changed = text[:place] + character + text[place + 1 :]
    assert (ApiKey.parse(changed) is None) == (changed != text)


@pytest.mark.parametrize("text", ["", "at_", "at_short_secret", "\0", "at_0Aa1Bb2Cc3Dd_" + "é" * 49, "x" * 100_000])
def test_other_texts_are_rejected(text: str) -> None:
    assert ApiKey.parse(text) is None


def test_a_line_break_after_a_key_is_rejected() -> None:
    assert ApiKey.parse(ApiKey.generate().text + "\n") is None
