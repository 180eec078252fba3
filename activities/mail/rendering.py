"""Renders mails from templates: Jinja2 files in the folder `templates`, or in one that replaces some of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import get_args

from jinja2 import (
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    StrictUndefined,
    TemplateError,
    TemplateNotFound,
    TemplateSyntaxError,
    select_autoescape,
)

from activities.mail.addresses import visible
from activities.mail.transport import Content
from workflows.tenants.request import ProductCode

BUILT_IN = Path(__file__).parent / "templates"
SUFFIXES = ("txt", "html")
SUBJECT = "Subject: "
MAX_SUBJECT_LENGTH = 200
MAX_VALUE_LENGTH = 255

SAMPLE_PORTAL_LINK = "https://alga.example.com/auth/password-reset/set-new-password?token=sample&portal=client"
SAMPLE_LINK = "https://alga.example.com/auth/password-reset/set-new-password?token=sample&portal=msp"


class MailTemplateError(Exception):
    """A template can't be used; the message names the file and the reason."""


@dataclass(frozen=True)
class Welcome:
    """The values of a welcome mail, by their names in templates.

    `password_link` and `link_expires_at` are None if someone hands over the password, `portal_link` is None without a
    portal user.
    """

    product_code: str
    tenant_name: str = field(repr=False)
    first_name: str = field(repr=False)
    last_name: str = field(repr=False)
    email: str = field(repr=False)
    sender_name: str
    sign_in_url: str
    forgot_password_url: str = field(repr=False)
    portal_url: str
    password_link: str | None = field(default=None, repr=False)
    portal_link: str | None = field(default=None, repr=False)
    link_expires_at: datetime | None = None

    @property
    def shown(self) -> dict[str, object]:
        """The values, with texts in one line and of limited length; links stay whole."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: self._shown(name, value) for name, value in values.items()}

    @staticmethod
    def _shown(name: str, value: object) -> object:
        is_text = isinstance(value, str) and not name.endswith(("_link", "_url"))
        return visible(str(value))[:MAX_VALUE_LENGTH] if is_text else value


class MailTemplates:
    """The templates of all mails; `welcome_<product>.txt`, whose first line is the subject, and `….html`."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    def welcome(self, welcome: Welcome) -> Content:
        """Return the welcome mail of the product; raises `MailTemplateError` if there is none."""
        text, html = (self._render(f"welcome_{welcome.product_code}.{suffix}", welcome.shown) for suffix in SUFFIXES)
        first_line, _, body = text.partition("\n")
        subject = visible(first_line.removeprefix(SUBJECT))[:MAX_SUBJECT_LENGTH]
        if not first_line.startswith(SUBJECT) or not subject:
            raise MailTemplateError(f"welcome_{welcome.product_code}.txt: the first line must be `{SUBJECT}…`")
        return Content(subject=subject, text=body.strip("\n") + "\n", html=html)

    def _render(self, name: str, values: Mapping[str, object]) -> str:
        try:
            return self._environment.get_template(name).render(values)
        except (TemplateError, OSError, UnicodeDecodeError) as error:
            raise MailTemplateError(f"{name}: {_reason(error)}") from None


def load_templates(extra_dir: Path | None = None) -> MailTemplates:
    """Return the templates; a file in `extra_dir` replaces the built-in one of its name.

    Raises `MailTemplateError` if the folder is missing or has a file of another name, if a template is broken, or if
    one leaves out the link. Names that begin with `_` are free for templates that others include.
    """
    loaders = [FileSystemLoader(BUILT_IN)]
    known = {file.name for file in BUILT_IN.iterdir()}
    if extra_dir is not None:
        if not extra_dir.is_dir():
            raise MailTemplateError(f"{extra_dir}: is not a folder")
        for file in sorted(extra_dir.iterdir()):
            if file.is_file() and file.name not in known and not file.name.startswith(("_", ".")):
                raise MailTemplateError(f"{file}: is none of {', '.join(sorted(known))}")
        loaders.insert(0, FileSystemLoader(extra_dir))
    environment = Environment(
        loader=ChoiceLoader(loaders),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates = MailTemplates(environment)
    for product in get_args(ProductCode):
        _check(templates, product)
    return templates


def sample_welcome(product: str, *, has_link: bool = True, has_portal_link: bool = False) -> Welcome:
    """Return example values of a welcome mail."""
    return Welcome(
        product_code=product,
        tenant_name="Acme",
        first_name="Ada",
        last_name="Byron",
        email="ada@acme.example",
        sender_name="Alga",
        sign_in_url="https://alga.example.com/auth/msp/signin",
        forgot_password_url="https://alga.example.com/auth/msp/forgot-password",  # noqa: S106 - an address
        portal_url="https://alga.example.com/auth/client-portal/signin",
        password_link=SAMPLE_LINK if has_link else None,
        portal_link=SAMPLE_PORTAL_LINK if has_portal_link else None,
        link_expires_at=datetime(2026, 1, 2, 9, 30, tzinfo=UTC) if has_link else None,
    )


def _check(templates: MailTemplates, product: str) -> None:
    """Render samples with and without links, and raise `MailTemplateError` for the first fault."""
    for has_link in (False, True):
        content = templates.welcome(sample_welcome(product, has_link=has_link, has_portal_link=has_link))
    for suffix, shown in (("txt", content.text), ("html", unescape(content.html))):
        if SAMPLE_LINK not in shown:
            raise MailTemplateError(f"welcome_{product}.{suffix}: does not show {{{{ password_link }}}}")


def _reason(error: Exception) -> str:
    if isinstance(error, TemplateSyntaxError):
        return f"line {error.lineno}: {error.message}"
    if isinstance(error, TemplateNotFound):
        return f"there is no template {error}"
    return str(error)
