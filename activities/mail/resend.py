"""Sends mails through Resend's HTTP API."""

import asyncio
import ssl
from dataclasses import dataclass, field
from typing import Any

import httpx

from activities.mail.transport import SEND_SECONDS, Mail, refused, shown_reason, unavailable

# The key was used before, for a mail that Resend has accepted (24 hours) with another text.
KEY_USED = "invalid_idempotent_request"
# Resend's name for a request that is just being handled with the same key.
KEY_IN_USE = "concurrent_idempotent_requests"
PASSING = {408, 425, 429}


@dataclass(frozen=True)
class ResendApi:
    """Resend's API."""

    url: str
    key: str = field(repr=False)


class ResendTransport:
    """Sends each mail by one request, whose key lets Resend recognise a repeated one."""

    name = "resend"

    def __init__(self, api: ResendApi) -> None:
        self._api = api
        self._context = ssl.create_default_context()

    async def send(self, mail: Mail) -> str:
        """Send the mail and return Resend's id of it; raises as `Transport.send` does."""
        content = mail.content
        response = await self._request(
            "POST",
            "/emails",
            headers={"Idempotency-Key": str(mail.id)},
            json={
                "from": str(mail.sender.header),
                "to": [str(mail.recipient.header)],
                "subject": content.subject,
                "text": content.text,
                "html": content.html,
                "headers": {"Auto-Submitted": "auto-generated"},
            },
        )
        document = _document(response)
        if document.get("name") == KEY_USED:
            return f"{mail.id} (sent before)"
        self._refuse_error(response, document)
        sent_as = document.get("id")
        if not isinstance(sent_as, str):
            raise unavailable("Resend accepted the mail without an id")
        return sent_as

    async def check(self) -> str:
        """Return the address of the API, which accepts the key; raises as `Transport.check` does."""
        response = await self._request("GET", "/domains")
        document = _document(response)
        # A key that may only send is good enough.
        if document.get("name") != "restricted_api_key":
            self._refuse_error(response, document)
        return self._api.url

    async def _request(self, method: str, path: str, **content: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._api.key}", **content.pop("headers", {})}
        try:
            async with (
                asyncio.timeout(SEND_SECONDS),
                httpx.AsyncClient(verify=self._context, timeout=SEND_SECONDS) as client,
            ):
                return await client.request(method, self._api.url.rstrip("/") + path, headers=headers, **content)
        except (httpx.HTTPError, TimeoutError) as error:
            raise unavailable(f"Resend can't be reached: {type(error).__name__}") from None

    def _refuse_error(self, response: httpx.Response, document: dict[str, Any]) -> None:
        error = document.get("error")
        if response.is_success and error is None:
            return
        shown = error if isinstance(error, dict) else document
        reason = shown_reason(f"{shown.get('name', '')} {shown.get('message', error or '')}")
        detail = f"Resend said {response.status_code} {reason}".rstrip()
        is_passing = response.is_server_error or response.status_code in PASSING or shown.get("name") == KEY_IN_USE
        raise unavailable(detail) if is_passing else refused(detail)


def _document(response: httpx.Response) -> dict[str, Any]:
    try:
        document = response.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
