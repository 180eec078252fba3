"""`alga-tenants mail`: shows the mails that new administrators get."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, get_args

import typer

from activities.mail.rendering import MailTemplateError, load_templates, sample_welcome
from app.cli.console import fail, print_json, visible
from app.cli.exit_codes import ExitCode
from app.cli.options import AsJson
from app.mail import mail_sender
from app.settings.mail import MailSettings
from workflows.tenants.request import ProductCode

app = typer.Typer(help="Show the welcome mail.", no_args_is_help=True)


@app.callback()
def mail() -> None:
    """Keep `preview` a subcommand, since it is the only one."""


@app.command()
def preview(
    *,
    product: Annotated[str, typer.Option(help="psa or algadesk.")] = "psa",
    tenant_name: Annotated[str, typer.Option(help="Name of the tenant.")] = "Acme",
    first_name: Annotated[str, typer.Option(help="First name of the administrator.")] = "Ada",
    last_name: Annotated[str, typer.Option(help="Last name of the administrator.")] = "Byron",
    email: Annotated[str, typer.Option(help="Address of the administrator.")] = "ada@acme.example",
    link: Annotated[bool, typer.Option("--link/--no-link", help="With a link for the password, or without.")] = True,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FOLDER", help="Write subject.txt, mail.txt and mail.html there."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the welcome mail with sample values; nothing is sent.

    Uses the templates in MAIL_TEMPLATES_DIR, if that is set.
    """
    if product not in get_args(ProductCode):
        raise typer.BadParameter(f"must be one of {', '.join(get_args(ProductCode))}", param_hint="--product")
    settings = MailSettings.load()
    sample = replace(
        sample_welcome(product, has_link=link),
        tenant_name=tenant_name,
        first_name=first_name,
        last_name=last_name,
        email=email,
    )
    if settings.mail_from is not None:
        sample = replace(sample, sender_name=mail_sender(settings).shown_name)
    try:
        content = load_templates(settings.mail_templates_dir).welcome(sample)
    except MailTemplateError as error:
        fail(f"alga-tenants mail: {error}", ExitCode.INVALID)
    parts = {"subject.txt": f"{content.subject}\n", "mail.txt": content.text, "mail.html": content.html}
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        for name, text in parts.items():
            (output / name).write_text(text, encoding="utf-8")
            typer.echo(output / name)
    elif as_json:
        print_json({"subject": content.subject, "text": content.text, "html": content.html})
    else:
        lines = (f"Subject: {content.subject}", "", *content.text.splitlines(), "", *content.html.splitlines())
        typer.echo("\n".join(map(visible, lines)))
