"""Where the development stack keeps its data, and the lock that keeps two instances off the same folder."""

import fcntl
import hashlib
import itertools
import os
import re
import shutil
import stat
import sys
import time
from pathlib import Path
from typing import BinaryIO

from app.embedded.errors import FolderLockedError, StackError

SHARED_ROOT = Path("/var/tmp")  # noqa: S108 - outlives a reboot, outside home folders; see data_root for its safety
LOCK_FILE = "lock"
ORPHANS_TIMEOUT = 30.0
POLL_SECONDS = 0.05


class FolderLock:
    """The exclusive use of a folder, until `release` or the end of this process and of all that inherit `fd`.

    Raises `FolderLockedError` when another living process has it. What children of a dead owner still hold is
    waited for: they are about to end. Raises `StackError` when the folder can't be made or written to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            make_folder(folder)
            self.fd = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StackError(f"{folder} can't be used as a data folder: {error}") from error
        try:
            self._acquire()
        except BaseException:
            os.close(self.fd)
            raise
        self._write(str(os.getpid()))

    def release(self) -> None:
        """Give the folder back; children that inherited `fd` keep it locked until they end."""
        self._write("")
        os.close(self.fd)

    def _acquire(self) -> None:
        deadline = time.monotonic() + ORPHANS_TIMEOUT
        while True:
            try:
                return fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = self._owner()
                if (owner is not None and _is_alive(owner)) or time.monotonic() > deadline:
                    raise FolderLockedError(self.folder, owner) from None
            time.sleep(POLL_SECONDS)

    def _owner(self) -> int | None:
        text = os.pread(self.fd, 32, 0).decode()
        return int(text) if text else None

    def _write(self, text: str) -> None:
        os.truncate(self.fd, 0)
        os.pwrite(self.fd, text.encode(), 0)


def make_folder(folder: Path) -> None:
    """Make a folder and its missing parents for us alone; as root, others may pass through but not look.

    Folders that exist already keep their permissions.
    """
    if folder.exists():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    folder.chmod(0o711 if os.geteuid() == 0 else 0o700)


def open_private(file: Path) -> BinaryIO:
    """An empty file to write to that only its owner can read, from its first moment on."""
    file.unlink(missing_ok=True)
    return os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def data_root(shared: Path = SHARED_ROOT) -> Path:
    """The folder of this user's instances; `StackError` when somebody else has made it or can write to it."""
    root = shared / f"alga-tenants-{os.geteuid()}"
    make_folder(root)
    status = root.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise StackError(f"{root} must be a folder that belongs to user {os.geteuid()} and that only it can write to")
    return root


def claim_data_dir(explicit: Path | None = None, *, root: Path | None = None) -> FolderLock:
    """Lock the given folder, or the first of this environment's default folders (in `root`) that is free.

    Raises `FolderLockedError` when a given folder is in use.
    """
    if explicit is not None:
        return FolderLock(explicit.absolute())
    for number in itertools.count(1):
        try:
            return FolderLock(_default_data_dir(root or data_root(), number))
        except FolderLockedError:
            continue
    raise AssertionError


def remove_data_dir(explicit: Path | None = None, *, root: Path | None = None) -> Path:
    """Remove the given data folder, or this environment's first default one, and return its path.

    Raises `FolderLockedError` if a running instance has it, and `StackError` if it holds what no instance has made.
    """
    folder = (explicit or _default_data_dir(root or data_root(), 1)).absolute()
    if not folder.exists():
        return folder
    if not (folder / LOCK_FILE).is_file() and any(folder.iterdir()):
        raise StackError(f"{folder} is not removed: it is not the data folder of a development stack")
    lock = FolderLock(folder)
    try:
        # The lock's file goes with the folder while it is held, so that no other instance starts in between.
        shutil.rmtree(folder)
    except OSError as error:
        raise StackError(f"{folder} can't be removed: {error}") from error
    finally:
        os.close(lock.fd)
    return folder


def _default_data_dir(root: Path, number: int) -> Path:
    """One folder per virtual environment, lest two checkouts share data; `-2`, `-3` for further instances."""
    prefix = Path(sys.prefix).resolve()
    name = re.sub(r"[^A-Za-z0-9_.]+", "-", prefix.parent.name).strip("-.") or "root"
    digest = hashlib.sha256(str(prefix).encode()).hexdigest()[:8]
    return root / (f"{name}-{digest}" if number == 1 else f"{name}-{digest}-{number}")


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
