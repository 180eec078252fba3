"""An OpenID provider where people sign in: the certified implementation `oidc-provider`, in Node.js."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from app.embedded.processes.ports import LOOPBACK
from app.embedded.processes.processes import ChildProcess
from tests.support.servers.openid import AUDIENCE
from tests.support.servers.program import ServerProgram, need_program

FILES = Path(__file__).with_name("openid_provider")
INSTALLATION_TIMEOUT = 300.0


class IdentityProvider(ServerProgram):
    """It checks PKCE, the redirect URI, and the secret of the client `console`, which must have one.

    `people` have the claims of their access tokens, and perhaps the `seconds` that these are valid, by their login.
    Any password is right.
    """

    def __init__(self, folder: Path, redirect_uri: str, secret: str, people: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__()
        self._folder = folder / "openid-provider"
        self._node = need_program("node", package="nodejs")
        client = {"client_id": "console", "client_secret": secret, "redirect_uris": [redirect_uri]}
        self._settings = {"port": self.port, "client": client, "audience": AUDIENCE, "people": people}
        shutil.copytree(FILES, self._folder, ignore=shutil.ignore_patterns("node_modules"))
        installed = subprocess.run(  # noqa: S603 - an installed program
            [need_program("npm"), "ci"],
            cwd=self._folder,
            # The other tests trust an authority of theirs alone.
            env={name: value for name, value in os.environ.items() if name != "SSL_CERT_FILE"},
            capture_output=True,
            text=True,
            timeout=INSTALLATION_TIMEOUT,
            check=False,
        )
        assert installed.returncode == 0, installed.stderr

    @property
    def issuer(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def _new_process(self) -> ChildProcess:
        command: list[str | Path] = [self._node, self._folder / "provider.mjs", json.dumps(self._settings)]
        log_file = self._folder / "provider.log"
        return ChildProcess("openid-provider", command, log_file=log_file, env=os.environ, cwd=self._folder)

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.issuer}/.well-known/openid-configuration").is_success
        except httpx.TransportError:
            return False
