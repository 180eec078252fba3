"""What happens on the paths that `record_histories` records, while the workflow waits."""

from collections.abc import Awaitable, Callable
from typing import Any

from temporalio.client import WorkflowHandle

from tests.workflows.observing import reaches
from tests.workflows.scripted import IMPATIENT, Script, passing
from workflows.operations.messages import Cancellation, ResumeRequest
from workflows.operations.statuses import OperationStatus
from workflows.tenants.steps import CREATE_TENANT

Handle = WorkflowHandle[Any, Any]
Act = Callable[[Handle, Script], Awaitable[None]]
Path = tuple[str, Callable[[], Any], Callable[[], Script], Act]


async def nothing(handle: Handle, script: Script) -> None: ...


async def cancel_by_signal(handle: Handle, script: Script) -> None:
    await script.reached.wait()
    await handle.signal("cancel", Cancellation(reason="a change of mind", by="ada"))


async def cancel_by_temporal(handle: Handle, script: Script) -> None:
    await script.reached.wait()
    await handle.cancel()


async def resume(handle: Handle, script: Script) -> None:
    await script.reached.wait()
    await handle.signal("resume", ResumeRequest(resumed_by="ada"))


async def resume_parked(handle: Handle, script: Script) -> None:
    # A regular activity ends after its error was raised, and a resume before that would be too early.
    await reaches(handle, OperationStatus.NEEDS_ATTENTION)
    await resume(handle, script)


async def cancel_parked(handle: Handle, script: Script) -> None:
    await reaches(handle, OperationStatus.NEEDS_ATTENTION)
    await cancel_by_signal(handle, script)


def parking(**policy: Any) -> Callable[[], Script]:
    return lambda: Script(errors=[passing(CREATE_TENANT)], policy=IMPATIENT.model_copy(update=policy))
