"""What a newcomer has and knows: a folder, a shell, and what the commands have printed."""

from dataclasses import dataclass, field
from pathlib import Path

import httpx

# The gateway's address in the README. `make run` takes another port if this one is in use, and prints it.
URL = "http://127.0.0.1:8000"
# On a machine that is busy with other tests.
COMMAND_TIMEOUT = 180.0


@dataclass(frozen=True)
class Step:
    """A command of the README, and how long it took."""

    command: str
    seconds: float


@dataclass
class Newcomer:
    """A reader of the README, at their shell."""

    folder: Path
    environment: dict[str, str]
    steps: list[Step] = field(default_factory=list)
    url: str = URL
    key: str = ""
    tenant: str = ""

    def get(self, path: str) -> httpx.Response:
        """Read from the gateway; raises `AssertionError` if the response is not 200."""
        response = httpx.get(
            self.url + path, headers={"Authorization": f"Bearer {self.key}"}, timeout=COMMAND_TIMEOUT
        )
        assert response.status_code == 200, response.text
        return response
