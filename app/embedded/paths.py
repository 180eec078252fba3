"""Where the development stack keeps its data, and the lock that keeps two instances off the same folder."""

import fcntl
import hashlib
import os
import re
import shutil
import stat
import sys
import time
from pathlib import Path
from typing import BinaryIO

from app.embedded.errors import FolderLockedError, StackError

SHARED_ROOT = Path("/var/tmp")  # noqa: S108 - outlives a reboot, outside home folders; data_root makes it safe
LOCK_FILE = "lock"
ORPHANS_TIMEOUT = 30.0
POLL_SECONDS = 0.05


class FolderLock:
    """The exclusive use of a folder, until `release`, or until this process and all that inherit `fd` have ended.

    Raises `FolderLockedError` if another running process holds it. Children of an ended owner are about to end, so
    their locks are waited for. Raises `StackError` if the folder can't be created or written to.
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
                text = os.pread(self.fd, 32, 0).decode()
                owner = int(text) if text else None
                if (owner is not None and _is_alive(owner)) or time.monotonic() > deadline:
                    raise FolderLockedError(self.folder, owner) from None
            time.sleep(POLL_SECONDS)

    def _write(self, text: str) -> None:
        os.truncate(self.fd, 0)
        os.pwrite(self.fd, text.encode(), 0)


def make_folder(folder: Path) -> None:
    """Create a folder and its missing parents for us alone; as root, others may pass through but not list.

    Existing folders keep their permissions.
    """
    if folder.exists():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    folder.chmod(0o711 if os.geteuid() == 0 else 0o700)


def open_private(file: Path) -> BinaryIO:
    """Open an empty file for writing that only its owner can ever read."""
    file.unlink(missing_ok=True)
    return os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def data_root(shared: Path = SHARED_ROOT) -> Path:
    """Return the folder of this user's instances; raises `StackError` if another user made it or can write to it."""
    root = shared / f"alga-tenants-{os.geteuid()}"
    make_folder(root)
    status = root.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise StackError(f"{root} must be a folder that belongs to user {os.geteuid()} and that only it can write to")
    return root


def claim_data_dir(explicit: Path | None = None, *, root: Path | None = None) -> FolderLock:
    """Lock the given folder, or this environment's first default folder (in `root`) that is free.

    Raises `FolderLockedError` if a given folder is in use.
    """
    if explicit is not None:
        return FolderLock(explicit.absolute())
    number = 1
    while True:
        try:
            return FolderLock(_default_data_dir(root or data_root(), number))
        except FolderLockedError:
            number += 1


def remove_data_dir(explicit: Path | None = None, *, root: Path | None = None) -> Path:
    """Remove the given data folder, or this environment's first default one, and return its path.

    Raises `FolderLockedError` if a running instance uses it, and `StackError` if no instance has made it.
    """
    folder = (explicit or _default_data_dir(root or data_root(), 1)).absolute()
    if not folder.exists():
        return folder
    if not (folder / LOCK_FILE).is_file() and any(folder.iterdir()):
        raise StackError(f"{folder} is not removed: it is not the data folder of a development stack")
    lock = FolderLock(folder)
    try:
        # The lock's file is removed while it is held, so that no other instance starts in between.
        shutil.rmtree(folder)
    except OSError as error:
        raise StackError(f"{folder} can't be removed: {error}") from error
    finally:
        os.close(lock.fd)
    return folder


def _default_data_dir(root: Path, number: int) -> Path:
    """Return one folder per virtual environment, so that checkouts share no data; `-2`, `-3` for more instances."""
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
        pass
    return True
