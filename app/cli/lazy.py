"""A group whose commands are imported when they are run, so that none slows or breaks another."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

from app.cli.exit_codes import EXIT_CODES_HELP, ExitCode


@dataclass(frozen=True)
class LazyCommand:
    """Where a command is: a function, or a `typer.Typer` with commands of its own; and its line in the help."""

    target: str
    help: str
    panel: str
    is_client: bool = False


class LazyGroup(TyperGroup):
    """Knows its commands' names and one line about each, and imports only the one that is asked for."""

    lazy_commands: ClassVar[Mapping[str, LazyCommand]] = {}

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, command in self.lazy_commands.items():
            self.add_command(TyperCommand(name, help=command.help, rich_help_panel=command.panel))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The real command in place of the one that only has the name."""
        name, known, rest = super().resolve_command(ctx, args)
        return name, _load(name, self.lazy_commands[name]) if name is not None else known, rest

    def invoke(self, ctx: Any) -> Any:
        """Run the command; settings that are missing or wrong end it with a line for each, and no traceback."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            if not _is_settings_error(error):
                raise
            for fault in str(error).splitlines():
                typer.echo(f"{ctx.info_name}: {fault}", err=True)
            raise typer.Exit(ExitCode.INVALID) from None


def _load(name: str, command: LazyCommand) -> Any:
    module, attribute = command.target.split(":")
    try:
        target = getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        typer.echo(f"alga-tenants {name}: the Python module {error.name} is not installed", err=True)
        raise typer.Exit(1) from None
    if isinstance(target, typer.Typer):
        return typer.main.get_group(target)
    single = typer.Typer(add_completion=False)
    single.command(name, epilog=EXIT_CODES_HELP if command.is_client else None)(target)
    return typer.main.get_command(single)


def _is_settings_error(error: Exception) -> bool:
    # Whoever raised one has imported its module; importing it here would slow down commands that have no settings.
    settings = sys.modules.get("app.settings")
    return settings is not None and isinstance(error, settings.SettingsError)
