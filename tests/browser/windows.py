"""Windows of the console that are watched."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, Request

from app.auth.scopes import Scope
from tests.browser.visitor import PATIENCE_MILLISECONDS, Visitor


@dataclass
class Windows:
    """Opens windows. None may see an error of a script, a violation of the policy, a dialog, or a foreign request."""

    url: str
    api: httpx.Client
    browser: Browser
    _contexts: list[BrowserContext] = field(default_factory=list)
    _faults: list[str] = field(default_factory=list)
    _hosts: set[str] = field(default_factory=lambda: {""})

    def open(
        self,
        scopes: frozenset[Scope] = frozenset(Scope),
        *,
        tenant_id: str | None = None,
        signs_in: bool = True,
        url: str | None = None,
        **options: object,
    ) -> Visitor:
        """Open the console with a new key of the given scopes, of the gateway at `url` if it is another."""
        body = {"name": "console", "scopes": sorted(scopes), "tenantId": tenant_id}
        created = self.api.post("/api-keys", json=body)
        assert created.status_code == 201, created.text
        self._hosts.add(urlsplit(url or self.url).netloc)
        context = self.browser.new_context(base_url=url or self.url, **options)  # type: ignore[arg-type]
        context.set_default_timeout(PATIENCE_MILLISECONDS)
        self._contexts.append(context)
        page = context.new_page()
        self._watch(page)
        context.on("page", self._watch)
        visitor = Visitor(page, created.json()["key"], created.json()["id"])
        if signs_in:
            visitor.sign_in()
        return visitor

    def check(self) -> None:
        """Fail if a window has seen a fault since the last check."""
        faults, self._faults[:] = "\n".join(self._faults), []
        assert not faults, faults

    def close(self) -> None:
        for context in self._contexts:
            context.close()
        self.check()

    def _watch(self, page: Page) -> None:
        def note_console(message: ConsoleMessage) -> None:
            # Chromium reports each response with an error status; tests look at those themselves.
            if message.type == "error" and "Failed to load resource" not in message.text:
                self._faults.append(f"{page.url}: {message.text}")

        def note_request(request: Request) -> None:
            if urlsplit(request.url).netloc not in self._hosts:
                self._faults.append(f"{page.url} requests {request.url}")

        def note_dialog(dialog: Dialog) -> None:
            self._faults.append(f"{page.url}: {dialog.type} {dialog.message}")
            dialog.dismiss()

        page.on("console", note_console)
        page.on("pageerror", lambda error: self._faults.append(f"{page.url}: {error}"))
        page.on("request", note_request)
        page.on("dialog", note_dialog)
