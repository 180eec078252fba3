"""The parts of a workflow that operations without changeable parameters share."""

from typing import Any, ClassVar, Generic

from pydantic import ValidationError
from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows.operations.failures import INVALID_REQUEST, refusal
    from workflows.operations.kinds import KINDS, OperationKind, is_storable_id
    from workflows.operations.lifecycle import Lifecycle, RequestT
    from workflows.operations.messages import Cancellation, OperationError
    from workflows.operations.parameters import first_fault, parse_signal


class OperationWorkflow(Generic[RequestT]):
    """Base of a workflow: reads its argument, and has the signals `cancel` and `resume` and the query `getState`.

    Arguments are untyped, because the SDK would retry the workflow task for ever if one could not be decoded.
    """

    kind: ClassVar[OperationKind]
    request_type: ClassVar[type[Any]]
    lifecycle: ClassVar[type[Lifecycle[Any]]] = Lifecycle

    # Parses the request, and not run, because a signal may arrive together with the start.
    @workflow.init
    def __init__(self, argument: Any = None) -> None:
        self._operation: Lifecycle[RequestT] = self.lifecycle(self.kind)
        self._fault: OperationError | None = None
        try:
            self._operation.accept(self.request_type.model_validate(argument))
        except ValidationError as error:
            field, detail = first_fault(error)
            self._fault = OperationError(code=INVALID_REQUEST, detail=detail, field=field)

    @property
    def is_gateways(self) -> bool:
        """Whether our own processes have started the workflow, and not a client of Temporal."""
        return self._operation.progress.snapshot.requested_by is not None

    def check_id(self) -> None:
        """Raise the error of an id that is not the starter's to choose, or that no row can have.

        Nothing is published, because the id is another operation's.
        """
        workflow_id = workflow.info().workflow_id
        if not is_storable_id(workflow_id) or (KINDS.is_own_id(workflow_id) and not self.is_gateways):
            raise refusal(INVALID_REQUEST, "workflow ids of this form are chosen by the gateway; use another one")

    def check_request(self, *, by_us: bool = False) -> None:
        """Fail the operation and raise the error if the argument is no request, or should be ours and is not."""
        fault = self._fault
        if fault is None and by_us and not self.is_gateways:
            detail = "only the gateway starts workflows of this type; use its HTTP API"
            fault = OperationError(code=INVALID_REQUEST, detail=detail)
        if fault is not None:
            raise self._operation.fail(fault)

    @workflow.signal(name="cancel")
    def cancel(self, argument: Any = None) -> None:
        """Cancel the operation before its commit, by a `Cancellation`; a later cancel becomes a warning."""
        self._operation.request_cancel(parse_signal(Cancellation, argument) or Cancellation())

    @workflow.signal(name="resume")
    def resume(self, argument: Any = None) -> None:  # noqa: ARG002 - kept in the history
        """Make the next attempt at once if the operation waits for it or for an operator."""
        self._operation.request_resume()

    @workflow.query(name="getState")
    def get_state(self) -> dict[str, Any]:
        """Return the state in the terms of Alga's client."""
        return self._operation.progress.wire_state()


async def nothing_to_prepare() -> None:
    """Prepare nothing."""
