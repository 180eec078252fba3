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


def keep_previous_logs(folder: Path) -> None:
    """Rename the logs in a data folder, so that the next run does not overwrite those of the last one."""
    for log in folder.glob("*/*.log"):
        log.replace(log.with_name(f"{log.name}.previous"))


def data_root(shared: Path = SHARED_ROOT) -> Path:
    """Return the folder of this user's instances; raises `StackError` if another user made it or can write to it."""
    root = shared / f"alga-tenants-{os.geteuid()}"
    make_folder(root)
    if not _is_ours(root):
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
    check_removable(folder)
    lock = FolderLock(folder)
    try:
        # The lock's file is removed while it is held, so that no other instance starts in between.
        shutil.rmtree(folder)
    except OSError as error:
        raise StackError(f"{folder} can't be removed: {error}") from error
    finally:
        os.close(lock.fd)
    return folder


def check_removable(folder: Path) -> None:
    """Raise `FolderLockedError` if a running instance uses the folder, `StackError` if no instance has made it."""
    if not (folder / LOCK_FILE).is_file() and any(folder.iterdir()):
        raise StackError(f"{folder} is not removed: it is not the data folder of a development stack")
    FolderLock(folder).release()


def is_in_use(folder: Path) -> bool:
    """Return whether a running instance uses a data folder."""
    try:
        fd = os.open(folder / LOCK_FILE, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def existing_data_dirs(shared: Path = SHARED_ROOT) -> list[Path]:
    """Return this environment's default folders that exist, the first one first; none that others could have made."""
    root = shared / f"alga-tenants-{os.geteuid()}"
    if not root.exists() or not _is_ours(root):
        return []
    first = _default_data_dir(root, 1)
    others = [path for path in root.glob(f"{first.name}-*") if path.name.removeprefix(f"{first.name}-").isdigit()]
    others.sort(key=lambda path: int(path.name.rpartition("-")[2]))
    return [folder for folder in (first, *others) if folder.is_dir()]


def _is_ours(root: Path) -> bool:
    status = root.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022


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
