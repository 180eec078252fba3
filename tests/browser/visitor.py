"""A person at the console."""

from dataclasses import dataclass, field

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

# Machines may be several times slower than ours.
PATIENCE_MILLISECONDS = 60_000
SCHEMES = ("light", "dark")
# All rules, and targets of at least 24 pixels (WCAG 2.2), which axe does not check by itself.
AXE = {"resultTypes": ["violations"], "rules": {"target-size": {"enabled": True}}}

# The elements that stick out to the right, unless they are within one that scrolls.
TOO_WIDE = """() => {
  const root = document.documentElement;
  if (root.scrollWidth <= root.clientWidth) return [];
  return [...document.body.querySelectorAll("*")]
    .filter((one) => one.getBoundingClientRect().right > root.clientWidth && !one.closest(".scroll"))
    .map((one) => one.outerHTML.slice(0, 200));
}"""

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
            found = Axe().run(self.page, options=AXE)
            assert found.violations_count == 0, f"{self.page.url} ({scheme}):\n{found.generate_report()}"
        self.page.emulate_media(color_scheme=None)
        self.check_width()

    def check_width(self) -> None:
        """Check that the page is no wider than the window, and name what is."""
        too_wide = self.page.evaluate(TOO_WIDE)
        assert not too_wide, f"{self.page.url} is wider than the window: {too_wide}"
