"""A group whose commands are imported when they run, so that no command slows down or breaks another."""

import gc
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
    """The module and name of a command, and its line in the help.

    The target is a function, or a `typer.Typer` with commands of its own.
    """

    target: str
    help: str
    panel: str


class LazyGroup(TyperGroup):
    """Imports only the command that runs; its help is made of the commands' names and help lines."""

    lazy_commands: ClassVar[Mapping[str, LazyCommand]] = {}

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, command in self.lazy_commands.items():
            self.add_command(TyperCommand(name, help=command.help, rich_help_panel=command.panel))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Replace the placeholder of a command by the command."""
        name, known, rest = super().resolve_command(ctx, args)
        return name, _load(name, self.lazy_commands[name]) if name is not None else known, rest

    def invoke(self, ctx: Any) -> Any:
        """Run the command; print a line for each missing or invalid setting instead of a traceback."""
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
    # What is imported stays. Looking for garbage in it would take an eighth of the time.
    gc.disable()
    try:
        target = getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        typer.echo(f"alga-tenants {name}: the Python module {error.name} is not installed", err=True)
        raise typer.Exit(ExitCode.FAILED) from None
    finally:
        gc.enable()
    if isinstance(target, typer.Typer):
        return typer.main.get_group(target)
    single = typer.Typer(add_completion=False)
    single.command(
        name, epilog=EXIT_CODES_HELP if module.startswith(("app.cli.operations.", "app.cli.tenants.")) else None
    )(target)
    return typer.main.get_command(single)


def _is_settings_error(error: Exception) -> bool:
    # If it is one, its module has been imported. Importing it here would slow down commands without settings.
    settings = sys.modules.get("app.settings")
    return settings is not None and isinstance(error, settings.SettingsError)
