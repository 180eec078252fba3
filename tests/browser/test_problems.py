"""The pages that explain problems, which need no sign-in."""

import pytest
from playwright.sync_api import ViewportSize, expect

from tests.browser.windows import Windows


@pytest.mark.parametrize("width", [1280, 390])
def test_problems_are_explained_to_someone_who_is_not_signed_in(windows: Windows, width: int) -> None:
    visitor = windows.open(signs_in=False)
    page = visitor.page
    page.set_viewport_size(ViewportSize(width=width, height=800))
    page.goto("/problems")
    expect(visitor.heading).to_have_text("Problems")
    visitor.inspect()
    page.get_by_role("link", name="Invalid request", exact=True).click()
    expect(visitor.heading).to_have_text("Invalid request")
    expect(page.get_by_role("heading", name="What to do")).to_be_visible()
    visitor.inspect()
    page.get_by_role("link", name="All problems").click()
    expect(visitor.heading).to_have_text("Problems")
    page.goto("/problems/no-such")
    expect(page.get_by_role("alert")).to_contain_text("There is no problem with the code no-such")
    visitor.inspect()
    windows.check()
