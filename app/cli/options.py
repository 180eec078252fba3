"""Options that several commands share."""

from typing import Annotated

import typer

DEFAULT_URL = "http://127.0.0.1:8000"
DEFAULT_TIMEOUT = 600.0
DEFAULT_LIMIT = 50
# The gateway refuses larger pages.
MAX_PAGE_SIZE = 200
CONNECTION = "Connection"

Url = Annotated[
    str,
    typer.Option(
        "--url",
        envvar="ALGA_TENANTS_URL",
        show_envvar=True,
        show_default=True,
        help="Address of the gateway.",
        rich_help_panel=CONNECTION,
    ),
]
ApiKey = Annotated[
    str,
    typer.Option(
        "--api-key",
        envvar="ALGA_TENANTS_API_KEY",
        show_envvar=True,
        show_default=False,
        help="API key or token; other users of this machine can see the command line, so better set the variable.",
        rich_help_panel=CONNECTION,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout; all else goes to stderr.")]
WorkflowId = Annotated[str, typer.Argument(metavar="ID", help="The operation's workflow id.")]
Timeout = Annotated[
    float, typer.Option("--timeout", min=0, metavar="SECONDS", show_default=True, help="Longest to wait.")
]
Limit = Annotated[int, typer.Option("--limit", min=1, show_default=True, help="How many at most.")]
