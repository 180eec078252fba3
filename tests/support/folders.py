"""Temporary folders that a server running as another user can reach."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def reachable_folder() -> Iterator[Path]:
    """Make a folder outside the home folders, through which other users may pass; remove it afterwards."""
    with tempfile.TemporaryDirectory(prefix="alga-tenants-test-", dir="/var/tmp") as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder
