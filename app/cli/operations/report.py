"""Output and exit status of a command: results on stdout as text or JSON, everything else on stderr."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any

import typer
from rich.console import Console

from app.cli.exit_codes import ExitCode
from app.cli.output import say, show_operation
from app.client import (
    ArgumentError,
    AuthenticationError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    Operation,
    ProblemError,
    Retries,
    TenantsClient,
    TenantsError,
    UnavailableError,
    UnexpectedResponseError,
    UnreachableError,
    WaitTimeoutError,
)
from app.client.models import CANCELLED, COMPLETED, FAILED, WAITING_FOR_PERSON, D

ERROR_CODES: Mapping[type[TenantsError], ExitCode] = {
    ArgumentError: ExitCode.INVALID,
    AuthenticationError: ExitCode.UNAUTHENTICATED,
    ConflictError: ExitCode.CONFLICT,
    InvalidRequestError: ExitCode.INVALID,
    NotFoundError: ExitCode.NOT_FOUND,
    ProblemError: ExitCode.UNAVAILABLE,
    UnavailableError: ExitCode.UNAVAILABLE,
    UnexpectedResponseError: ExitCode.UNAVAILABLE,
    UnreachableError: ExitCode.UNAVAILABLE,
    WaitTimeoutError: ExitCode.TIMED_OUT,
}
STATUS_CODES = {
    COMPLETED: ExitCode.DONE,
    FAILED: ExitCode.FAILED,
    CANCELLED: ExitCode.CANCELLED,
    **dict.fromkeys(WAITING_FOR_PERSON, ExitCode.NEEDS_ATTENTION),
}


class Report:
    """Prints what a command found, and why it failed.

    With `as_json`, stdout gets the operation's last known document, or `{"error": …}` if there is none; with
    `each_change` it gets a line for every change instead.
    """

    def __init__(self, url: str, *, as_json: bool, each_change: bool = False) -> None:
        self.stdout = Console(highlight=False)
        self.stderr = Console(stderr=True, highlight=False)
        self.document: Operation | None = None
        self.idempotency_key: str | None = None
        self._url = url
        self._as_json = as_json
        self._each_change = each_change

    @contextmanager
    def client(self, api_key: str) -> Iterator[TenantsClient]:
        """Open a client whose errors, and Ctrl-C, end the command with a message and an exit status of its own."""
        try:
            with TenantsClient(self._url, api_key, retries=Retries(notify=self._retrying)) as client:
                yield client
        except TenantsError as error:
            self._failed(error)
            raise typer.Exit(ERROR_CODES[type(error)]) from None
        except KeyboardInterrupt:
            self._interrupted()
            raise typer.Exit(ExitCode.INTERRUPTED) from None

    def changed(self, document: Operation) -> None:
        """Keep the operation as it is now, together with a password of an earlier response."""
        if self.document is not None and self.document.temporary_password is not None:
            document = document.model_copy(update={"temporary_password": self.document.temporary_password})
        self.document = document
        if self._as_json and self._each_change:
            print_json(document.as_json())

    def note(self, text: str) -> None:
        """Print a message for people."""
        say(self.stderr, text)

    def show_password(self, password: str) -> None:
        """Show people the password that was made; JSON has it in the document."""
        if not self._as_json:
            say(self.stdout, f"temporary password of the administrator, shown only now: {password}", "bold")

    def finish(self) -> None:
        """Print the operation."""
        if self._as_json:
            self._print_document()
        elif self.document is not None:
            show_operation(self.stdout, self.document)

    def show_list(
        self, name: str, documents: Iterator[D], limit: int, show: Callable[[Console, Iterable[D]], None]
    ) -> None:
        """Print the first documents of a list, and say whether there are more."""
        shown = list(islice(documents, limit))
        if self._as_json:
            print_json({name: [document.as_json() for document in shown]})
            return
        are_more = next(documents, None) is not None
        show(self.stdout, shown)
        if are_more:
            self.note(f"Only the first {limit} are shown; --limit shows more.")

    def _print_document(self) -> None:
        if self.document is not None and not self._each_change:
            print_json(self.document.as_json())

    def _retrying(self, error: TenantsError, seconds: float) -> None:
        self.note(f"{error}; trying again in {seconds:.1f} s")

    def _failed(self, error: TenantsError) -> None:
        say(self.stderr, f"{self._prefix(error)}: {error}", "red")
        if isinstance(error, ProblemError):
            for fault in error.errors:
                say(self.stderr, f"  {fault.field}: {fault.detail}", "red")
            if error.request_id:
                self.note(f"  request id: {error.request_id}")
        if self.document is not None:
            self._tell_how_to_go_on()
        elif isinstance(error, UnreachableError | UnavailableError):
            self._tell_how_to_repeat()
        if self._as_json and self.document is None:
            print_json({"error": error.as_json()})
        elif self._as_json:
            self._print_document()

    def _prefix(self, error: TenantsError) -> str:
        if isinstance(error, UnreachableError | UnexpectedResponseError):
            return f"no usable response from {self._url}"
        return f"error {error.status} ({error.code})" if isinstance(error, ProblemError) else "error"

    def _interrupted(self) -> None:
        if self.document is None:
            self._tell_how_to_repeat()
            return
        self._tell_how_to_go_on()
        if self._as_json:
            self._print_document()

    def _tell_how_to_go_on(self) -> None:
        if self.document is not None and not self.document.is_settled:
            workflow_id = self.document.workflow_id
            self.note(f"The operation goes on. To watch it:  alga-tenants watch {workflow_id}")
            self.note(f"                       To cancel it: alga-tenants cancel {workflow_id}")

    def _tell_how_to_repeat(self) -> None:
        if self.idempotency_key is not None:
            self.note("It is not certain whether the tenant is being created. Running the same command again with")
            self.note(f"--idempotency-key {self.idempotency_key} finds out, and never makes a second one.")


def settled_code(document: Operation) -> ExitCode:
    """Return the exit status for an operation that is settled."""
    return STATUS_CODES.get(document.status, ExitCode.UNKNOWN_STATUS)


def print_json(document: Mapping[str, Any]) -> None:
    """Print one line of JSON to stdout, at once."""
    typer.echo(json.dumps(document))
