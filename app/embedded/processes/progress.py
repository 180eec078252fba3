"""Whether a process that starts makes progress, however slowly."""

import sys
import time
from pathlib import Path

# Fields after the name in `/proc/PID/stat`: user and system time.
TIMES = slice(11, 13)


class Progress:
    """Notices each output to a log and each processor time of a process."""

    def __init__(self, pid: int, log_file: Path) -> None:
        self._pid = pid
        self._log_file = log_file
        self._seen: tuple[int, str] | None = None
        self._changed_at = time.monotonic()

    def idle_seconds(self) -> float:
        """Return the seconds for which nothing has changed, as far as the calls of this method could see.

        Returns 0 on systems that don't show the processor time, where silence may be work.
        """
        if sys.platform != "linux":
            return 0.0
        seen = self._log_file.stat().st_size, _processor_time(self._pid)
        if seen != self._seen:
            self._seen, self._changed_at = seen, time.monotonic()
        return time.monotonic() - self._changed_at


def _processor_time(pid: int) -> str:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        # It has ended, which its owner notices next.
        return ""
    # The name may hold spaces and parentheses.
    return " ".join(stat.rpartition(")")[2].split()[TIMES])
