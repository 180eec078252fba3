"""Sends welcome mails again."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.auth.callers import Caller
from app.gateway.console.attempts import Attempt
from app.gateway.console.console_route import ConsoleRoute
from app.gateway.console.forms import Form, SubmittedForm, validated
from app.gateway.console.rendering import page, see_other
from app.gateway.directory.changes import CHANGE_WAIT_SECONDS
from app.gateway.directory.parameters import TenantPathId
from app.gateway.http.dependencies import service
from app.gateway.tenants.access import WelcomeEmails
from app.gateway.tenants.routes import MailSender
from app.gateway.tenants.schemas import WelcomeEmailBody
from workflows.operations.statuses import OperationStatus

router = APIRouter(prefix="/tenants/{id}/welcome-email", route_class=ConsoleRoute)

Service = Annotated[WelcomeEmails, service(WelcomeEmails)]


@router.get("")
async def ask_recipient(request: Request, requester: MailSender, mails: Service, path_id: TenantPathId) -> Response:
    """Show who would get the mail."""
    return await _page(request, mails, requester.caller, path_id, Form(), 200)


@router.post("")
async def send_welcome_email(
    request: Request, requester: MailSender, mails: Service, path_id: TenantPathId, form: SubmittedForm
) -> Response:
    """Send the welcome mail to an administrator."""
    attempt = Attempt(request)
    with attempt:
        body = validated(WelcomeEmailBody, {"userId": form["userId"] or None})
        operation = await mails.send(path_id, body, requester)
        operation = await mails.wait(operation, CHANGE_WAIT_SECONDS)
        if operation.snapshot.status is not OperationStatus.COMPLETED:
            return see_other(request, operation.document.links.self)
        return see_other(request, f"/tenants/{path_id}?changed={quote(operation.workflow_id, safe='')}")
    shown = form.rejected(attempt.problem, fields=("userId",))
    return await _page(request, mails, requester.caller, path_id, shown, attempt.problem.status)


async def _page(  # noqa: PLR0917 - of the page
    request: Request, mails: WelcomeEmails, caller: Caller, path_id: str, form: Form, status: int
) -> Response:
    preview = await mails.preview(caller, path_id)
    return page(request, "tenants/welcome_email.html", status, tenant=preview, form=form)
