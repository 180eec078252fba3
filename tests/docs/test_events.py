"""The code in docs/events.md accepts what the service signs, and nothing else."""

import json
import re
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from activities.webhooks.secrets import new_secret, signature_headers
from tests.support.servers.program import need_program

DOCUMENT = (Path(__file__).parents[2] / "docs" / "events.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", DOCUMENT, flags=re.DOTALL)
TYPESCRIPT = re.findall(r"```typescript\n(.*?)```", DOCUMENT, flags=re.DOTALL)
TYPED = "verify(secret: string, headers: Record<string, string>, body: Buffer): unknown {"
BODY = json.dumps({"type": "tenant.created", "data": {"tenantName": "Ågård"}}, ensure_ascii=False)
SECRET = new_secret()
CALL = """
let received = "";
for await (const text of process.stdin) received += text;
const { secret, headers, body } = JSON.parse(received);
try {
  console.log(JSON.stringify(verify(secret, headers, Buffer.from(body))));
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
"""

Verify = Callable[[str, dict[str, str], str], Any]


def in_python(code: str) -> Verify:
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - our own documentation
    return lambda secret, headers, body: names["verify"](secret, headers, body.encode())


def in_node(code: str) -> Verify:
    node = need_program("node", package="nodejs")
    # Node runs TypeScript without its types.
    assert TYPED in code
    script = code.replace(TYPED, "verify(secret, headers, body) {") + CALL

    def verify(secret: str, headers: dict[str, str], body: str) -> Any:
        ran = subprocess.run(  # noqa: S603 - our own documentation
            [node, "--input-type=module", "--eval", script],
            input=json.dumps({"secret": secret, "headers": headers, "body": body}),
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode:
            raise ValueError(ran.stderr)
        return json.loads(ran.stdout)

    return verify


@pytest.mark.parametrize(
    "load",
    [
        pytest.param(lambda: in_python(PYTHON[0]), id="python-package"),
        pytest.param(lambda: in_python(PYTHON[1]), id="python"),
        pytest.param(lambda: in_node(TYPESCRIPT[1]), id="node"),
    ],
)
def test_documented_code_verifies_events(load: Callable[[], Verify]) -> None:
    verify = load()
    now = datetime.now(UTC)
    rotated = signature_headers(uuid4(), BODY, [new_secret(), SECRET], now)
    assert verify(SECRET, rotated, BODY) == json.loads(BODY)
    old = signature_headers(uuid4(), BODY, [SECRET], now - timedelta(minutes=6))
    other_id = rotated | {"webhook-id": str(uuid4())}
    for secret, headers, body, reason in (
        (new_secret(), rotated, BODY, "signature"),
        (SECRET, rotated, BODY + " ", "signature"),
        (SECRET, other_id, BODY, "signature"),
        (SECRET, old, BODY, "timestamp"),
    ):
        with pytest.raises(Exception, match=rf"(?i){reason}"):
            verify(secret, headers, body)
