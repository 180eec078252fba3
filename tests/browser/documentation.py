"""The page at /docs, as a person uses it."""

import json
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Locator, Page, Response, expect


@dataclass
class Documentation:
    """A window of the page at /docs."""

    page: Page
    url: str
    key: str = field(repr=False)

    def open(self) -> None:
        self.page.goto(f"{self.url}/docs")
        expect(self.operation("createTenant")).to_be_visible()

    def authorize(self) -> None:
        """Give the page the key, as a person would."""
        self.page.get_by_role("button", name="Authorize").first.click()
        dialog = self.page.locator(".dialog-ux")
        dialog.locator("input").first.fill(self.key)
        dialog.get_by_role("button", name="Apply credentials").first.click()
        dialog.get_by_role("button", name="Close").last.click()
        expect(dialog).to_have_count(0)

    def operation(self, name: str) -> Locator:
        return self.page.locator(f'.opblock[id$="-{name}"]')

    def execute(self, name: str, *, body: dict[str, Any] | None = None, **places: str) -> Response:
        """Press "Try it out" and "Execute"; fill in these parameters and this body, and leave the rest as it is."""
        block = self.operation(name)
        block.locator(".opblock-summary-control").click()
        block.locator(".try-out__btn").click()
        for parameter, value in places.items():
            block.locator(f'tr[data-param-name="{parameter}"] input').fill(value)
        if body is not None:
            block.locator("textarea.body-param__text").fill(json.dumps(body))
        with self.page.expect_response(lambda response: response.request.resource_type == "fetch") as received:
            block.locator(".btn.execute").click()
        expect(block.locator(".live-responses-table tbody .response-col_status").first).to_contain_text(
            str(received.value.status)
        )
        block.locator(".opblock-summary-control").click()
        return received.value
