"""A person at the console."""

from dataclasses import dataclass, field

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

# Machines may be several times slower than ours.
PATIENCE_MILLISECONDS = 60_000
SCHEMES = ("light", "dark")

expect.set_options(timeout=PATIENCE_MILLISECONDS)


@dataclass
class Visitor:
    """A window of the console, and the API key of the person who uses it."""

    page: Page
    key: str = field(repr=False)
    key_id: str

    def sign_in(self) -> None:
        self.go("/sign-in")
        self.page.get_by_label("API key").fill(self.key)
        self.page.get_by_role("button", name="Sign in").click()
        expect(self.page.get_by_role("button", name="Sign out")).to_be_visible()

    def go(self, path: str = "") -> None:
        """Open a page of the console by its path."""
        self.page.goto(f"/console{path}")

    @property
    def heading(self) -> Locator:
        return self.page.get_by_role("heading", level=1)

    def inspect(self) -> None:
        """Check the page as it is now: accessible in both colour schemes, and no wider than the window."""
        for scheme in SCHEMES:
            self.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            found = Axe().run(self.page)
            assert found.violations_count == 0, f"{self.page.url} ({scheme}):\n{found.generate_report()}"
        self.page.emulate_media(color_scheme=None)
        too_wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        assert not self.page.evaluate(too_wide), f"{self.page.url} is wider than the window"
