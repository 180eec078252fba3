"""Output and exit status of a command: results on stdout as text or JSON, everything else on stderr."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from itertools import islice
from typing import Any, NoReturn

import typer
from rich.console import Console

from app.cli.connection.gateway import CONNECTION_OPTIONS, connection
from app.cli.console import print_ids, print_json, say
from app.cli.exit_codes import ExitCode
from app.cli.operations.fields import option_of
from app.cli.options import AsJson, keyword, replace_first_parameter
from app.cli.rendering.hints import fault_line, with_commands
from app.cli.rendering.operations import show_operation, shown_progress
from app.client import Operation, Retries, TenantsClient, errors
from app.client.models import CANCELLED, COMPLETED, FAILED, WAITING, WAITING_FOR_PERSON, D

# For all other errors: UNAVAILABLE.
ERROR_CODES: dict[type[errors.TenantsError], ExitCode] = {
    errors.ArgumentError: ExitCode.INVALID,
    errors.AuthenticationError: ExitCode.UNAUTHENTICATED,
    errors.DamagedArchiveError: ExitCode.FAILED,
    errors.DamagedDownloadError: ExitCode.FAILED,
    errors.FileError: ExitCode.FAILED,
    errors.ConflictError: ExitCode.CONFLICT,
    errors.InvalidRequestError: ExitCode.INVALID,
    errors.NotFoundError: ExitCode.NOT_FOUND,
    errors.WaitTimeoutError: ExitCode.TIMED_OUT,
}
STATUS_CODES = {
    COMPLETED: ExitCode.DONE,
    FAILED: ExitCode.FAILED,
    CANCELLED: ExitCode.CANCELLED,
    WAITING: ExitCode.WAITING,
    **dict.fromkeys(WAITING_FOR_PERSON, ExitCode.NEEDS_ATTENTION),
}
OPTIONS = (keyword("as_json", AsJson, default=False), *CONNECTION_OPTIONS)


class Report:
    """Prints what a command found, and why it failed.

    With `as_json`, stdout gets the operation's last known document, or `{"error": …}` if there is none; with
    `shows_each_change` it gets a line for every change instead. With `names_options`, messages name the option that
    sets an invalid field instead of the field.
    """

    client: TenantsClient

    def __init__(self, url: str, *, as_json: bool) -> None:
        self.stdout = Console(highlight=False)
        self.stderr = Console(stderr=True, highlight=False)
        self.document: Operation | None = None
        # Shows people something else than the operation.
        self.show: Callable[[Console], None] | None = None
        self.idempotency_key: str | None = None
        self._url = url
        self.as_json = as_json
        self.shows_each_change = False
        self.names_options = True
        # Of fields that one of several options sets.
        self.aliases: dict[str, str] = {}

    @contextmanager
    def connection(self, api_key: str) -> Iterator[None]:
        """Open a client whose errors, and Ctrl-C, end the command with a message and an exit status of their own."""
        retries = Retries(
            notify=lambda error, seconds: self.note(f"{with_commands(str(error))}; trying again in {seconds:.1f} s")
        )
        try:
            with TenantsClient(self._url, api_key, retries=retries) as self.client:
                yield
        except errors.TenantsError as error:
            self._show_error(error)
            self._explain_how_to_proceed(
                is_uncertain=isinstance(error, errors.UnreachableError | errors.UnavailableError)
            )
            if self.as_json and self.document is None:
                print_json({"error": error.as_json()})
            code = ERROR_CODES.get(type(error), ExitCode.UNAVAILABLE)
        except KeyboardInterrupt:
            self._explain_how_to_proceed(is_uncertain=True)
            code = ExitCode.INTERRUPTED
        else:
            return
        self._print_document()
        raise typer.Exit(code)

    def changed(self, document: Operation) -> None:
        """Keep the operation as it is now, together with a password of an earlier response."""
        if self.document is not None and self.document.temporary_password is not None:
            document = document.model_copy(update={"temporary_password": self.document.temporary_password})
        self.document = document
        if self.as_json and self.shows_each_change:
            print_json(document.as_json())

    def follow(self, workflow_id: str, timeout: float | None, *, since: Operation | None = None) -> ExitCode:
        """Show the operation's progress until it is settled, and return the exit status for its last status."""
        with shown_progress(self.stderr) as show:
            for document in self.client.watch(workflow_id, timeout=timeout, since=since):
                self.changed(document)
                show(document)
        return STATUS_CODES.get(document.status, ExitCode.UNKNOWN_STATUS)

    def note(self, text: str) -> None:
        """Print a message for people."""
        say(self.stderr, text)

    def finish(self, code: ExitCode) -> NoReturn:
        """Print the operation and exit."""
        self._print_document()
        if not self.as_json and self.show is not None:
            self.show(self.stdout)
        elif not self.as_json and self.document is not None:
            show_operation(self.stdout, self.document, field_name=self._field_name)
        raise typer.Exit(code)

    def show_list(
        self,
        name: str,
        documents: Iterator[D],
        limit: int,
        show: Callable[[Console, Iterable[D]], None],
        *,
        id_of: Callable[[D], object] | None = None,
    ) -> None:
        """Print the first documents of a list, or only what `id_of` returns for each, and say if there are more."""
        if self.as_json and id_of is not None:
            raise typer.BadParameter("can't be combined with --json; leave out one of them", param_hint="--ids")
        shown = list(islice(documents, limit))
        if self.as_json:
            print_json({name: [document.as_json() for document in shown]})
            return
        are_more = next(documents, None) is not None
        if id_of is None:
            show(self.stdout, shown)
        else:
            print_ids(map(id_of, shown))
        if are_more:
            self.note(f"Only the first {limit} are shown; a higher --limit shows more.")

    def _print_document(self) -> None:
        if self.as_json and self.document is not None and not self.shows_each_change:
            print_json(self.document.as_json())

    def _field_name(self, path: str) -> str:
        return self.aliases.get(path) or (option_of(path) if self.names_options else path)

    def _show_error(self, error: errors.TenantsError) -> None:
        if not isinstance(error, errors.ProblemError):
            is_foreign = isinstance(error, errors.UnreachableError | errors.UnexpectedResponseError)
            prefix = f"no usable response from {self._url}" if is_foreign else "error"
            say(self.stderr, f"{prefix}: {error}", "red")
            return
        # The detail repeats the errors with the names of the JSON fields.
        detail = error.title if error.errors and error.title else error.detail
        say(self.stderr, f"error {error.status} ({error.code}): {with_commands(detail)}", "red")
        for fault in error.errors:
            say(self.stderr, f"  {fault_line(fault, self._field_name)}", "red")
        if error.request_id:
            self.note(f"  request id: {error.request_id}")

    def _explain_how_to_proceed(self, *, is_uncertain: bool) -> None:
        if self.document is not None and not self.document.is_settled:
            workflow_id = self.document.workflow_id
            self.note("The operation continues.")
            self.note(f"To watch it:  alga-tenants watch {workflow_id}")
            self.note(f"To cancel it: alga-tenants cancel {workflow_id}")
        elif self.document is None and is_uncertain and self.idempotency_key is not None:
            self.note("The creation may have started. To find out without making a second tenant, repeat the command")
            self.note(f"with --idempotency-key {self.idempotency_key}")


def connected(command: Callable[..., ExitCode | None]) -> Callable[..., None]:
    """Give a command the options of a connection; its first parameter becomes a `Report` with an open client.

    The command's result is its exit status; None means success.
    """

    @wraps(command)
    def run(*positional: Any, api_key: str | None, url: str | None, as_json: bool, **arguments: Any) -> None:
        gateway = connection(url, api_key, as_json=as_json)
        report = Report(gateway.url, as_json=as_json)
        with report.connection(gateway.api_key):
            code = command(report, *positional, **arguments)
        report.finish(code or ExitCode.DONE)

    replace_first_parameter(command, run, OPTIONS)
    return run
