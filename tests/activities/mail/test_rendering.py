"""The texts of mails, and templates of an installation's own."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pytest

from activities.mail.rendering import (
    SAMPLE_LINK,
    SAMPLE_PORTAL_LINK,
    MailTemplateError,
    load_templates,
    sample_welcome,
)
from workflows.tenants.request import ProductCode

PRODUCTS = get_args(ProductCode)
HOSTILE = {
    "markup": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "header": "Acme\r\nBcc: eve@evil.example\r\n\r\nHello",
    "direction": "Acme \u202emoc.live\u202c \u2066x\u2069",
    "long": "W" * 255,
    "emoji": "Acme 👩‍👩‍👧 🇩🇪",
    "quotes": "\"Acme\" & 'Sons' <acme@acme.example>",
    "template": "{{ 7 * 7 }}{% raw %}{{ password_link }}",
    "controls": "Acme\x00\x1b[31m\x7f",
}


@pytest.mark.parametrize("product", PRODUCTS)
def test_the_mail_has_the_link_and_prepares_for_the_second_password(product: str) -> None:
    content = load_templates().welcome(sample_welcome(product))
    assert {"psa": "Alga PSA", "algadesk": "AlgaDesk"}[product] in content.subject
    assert SAMPLE_LINK in content.text
    assert SAMPLE_LINK.replace("&", "&amp;") in content.html
    for shown in (content.text, content.html):
        assert "24 hours, until 2 January 2026, 09:30 UTC" in shown
        assert "asks you for a new password once more" in shown
        assert "ada@acme.example" in shown


def test_a_portal_user_gets_a_link_of_their_own() -> None:
    content = load_templates().welcome(sample_welcome("psa", has_portal_link=True))
    assert SAMPLE_PORTAL_LINK in content.text
    assert SAMPLE_PORTAL_LINK.replace("&", "&amp;") in content.html
    assert "client portal" not in load_templates().welcome(sample_welcome("psa")).text


@pytest.mark.parametrize("product", PRODUCTS)
def test_without_a_link_the_mail_says_who_hands_over_the_password(product: str) -> None:
    content = load_templates().welcome(replace(sample_welcome(product, has_link=False), sender_name="Acme Support"))
    assert "Acme Support will give it to you in another way" in content.text
    assert "Acme Support</bdi> will give it to you in another way" in content.html
    assert "token=" not in content.text + content.html


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_names_do_no_harm(name: str) -> None:
    content = load_templates().welcome(replace(sample_welcome("psa"), tenant_name=name, first_name=name))
    assert content.subject.replace("\N{ZERO WIDTH JOINER}", "").isprintable()
    assert len(content.subject) <= 200
    assert "<script" not in content.html
    assert "<img" not in content.html
    for character in "\u202e\u202c\u2066\u2069\x00\x1b\x7f":
        assert character not in content.subject + content.text + content.html
    # Names add no line to the text, and nothing evaluates them.
    plain = load_templates().welcome(sample_welcome("psa"))
    assert len(content.text.splitlines()) == len(plain.text.splitlines())
    assert content.text.count(SAMPLE_LINK) == 1
    assert "49" not in content.subject


def test_emoji_stay_whole() -> None:
    content = load_templates().welcome(replace(sample_welcome("psa"), first_name="Ada 👩‍💻"))
    assert "Hello Ada 👩‍💻," in content.text


def test_a_file_replaces_the_built_in_one(tmp_path: Path) -> None:
    (tmp_path / "welcome_psa.txt").write_text(
        "Subject: Willkommen, {{ first_name }}\n\n{{ password_link or 'Passwort folgt' }} bis "
        "{{ link_expires_at.strftime('%d.%m.%Y') if link_expires_at }}\n"
    )
    content = load_templates(tmp_path).welcome(
        replace(sample_welcome("psa"), link_expires_at=datetime(2026, 3, 1, tzinfo=UTC))
    )
    assert content.subject == "Willkommen, Ada"
    assert content.text == f"{SAMPLE_LINK} bis 01.03.2026\n"
    assert "Alga PSA" in content.html


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        (
            "welcome_psa.txt",
            "Subject: Hi\n\n{{ password_link }} {{ adress }}",
            "welcome_psa.txt: 'adress' is undefined",
        ),
        ("welcome_psa.html", "{% if password_link %}{{ password_link }}", "welcome_psa.html: line 1: "),
        ("welcome_psa.txt", "Subject: Hi\n\nHello", "welcome_psa.txt: does not show {{ password_link }}"),
        ("welcome_psa.html", "<p>Hello</p>", "welcome_psa.html: does not show {{ password_link }}"),
        ("welcome_psa.txt", "Hello\n{{ password_link }}", "welcome_psa.txt: the first line must be `Subject: …`"),
        ("welcome_psa.html", "{% include '_logo.html' %}{{ password_link }}", "there is no template _logo.html"),
        ("welcome_pas.txt", "Subject: Hi", "welcome_pas.txt: is none of "),
    ],
)
def test_a_broken_template_is_named(tmp_path: Path, name: str, text: str, fault: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(MailTemplateError) as refused:
        load_templates(tmp_path)
    assert fault in str(refused.value)


def test_a_template_may_include_others(tmp_path: Path) -> None:
    (tmp_path / "_logo.html").write_text("<b>Acme</b>")
    (tmp_path / "welcome_psa.html").write_text("{% include '_logo.html' %}<a href='{{ password_link }}'>go</a>")
    assert load_templates(tmp_path).welcome(sample_welcome("psa")).html.startswith("<b>Acme</b>")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(MailTemplateError, match="nowhere: is not a folder"):
        load_templates(tmp_path / "nowhere")
