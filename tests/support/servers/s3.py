"""A real S3 server on a free port, which keeps everything in memory and accepts any credentials."""

import os
import sys
from pathlib import Path
from uuid import uuid4
from xml.etree import ElementTree as ET

import httpx

from app.embedded.processes.ports import LOOPBACK
from app.embedded.processes.processes import ChildProcess
from tests.support.servers.program import ServerProgram


class S3Server(ServerProgram):
    """Starts empty, each time. `environment` is for clients."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self.url = f"http://{LOOPBACK}:{self.port}"
        self.environment = {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "tests",
            "AWS_SECRET_ACCESS_KEY": "made-up",
            "AWS_REGION": "us-east-1",
        }

    def _new_process(self) -> ChildProcess:
        return ChildProcess(
            "S3",
            [sys.executable, "-m", "moto.server", "--host", LOOPBACK, "--port", str(self.port)],
            log_file=self._folder / "s3.log",
            env={"PATH": os.defpath},
            cwd=self._folder,
        )

    def new_bucket(self) -> str:
        """Create a bucket and return its name."""
        name = f"exports-{uuid4().hex}"
        httpx.put(f"{self.url}/{name}").raise_for_status()
        return name

    def open_uploads(self, bucket: str) -> list[str]:
        """Return the paths of the uploads that were neither completed nor aborted."""
        listing = httpx.get(f"{self.url}/{bucket}?uploads").raise_for_status().content
        elements = ET.fromstring(listing).iter()  # noqa: S314 - from our server
        return [element.text or "" for element in elements if element.tag.rpartition("}")[2] == "Key"]

    def _is_ready(self) -> bool:
        try:
            return httpx.get(self.url).is_success
        except httpx.TransportError:
            return False
