"""The program that every child starts as: gives up root, ties its life to its parent's, becomes the real command.

It is run as a script and imports nothing of ours. A script and not a `preexec_fn`: running Python between fork
and exec is unsafe once the parent has threads, and the Temporal client starts some.
"""

import ctypes
import json
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
CANNOT_RUN = 126


def main(how_json: str, *command: str) -> None:
    """Replace this process by `command`; exits with 126 and a reason on stderr where that is impossible."""
    how = json.loads(how_json)
    try:
        if how["uid"] is not None:
            os.setgroups([])
            os.setgid(how["gid"])
            os.setuid(how["uid"])
        # After the change of user, because the kernel forgets the death signal at one.
        _die_with(how["parent"], how["death_signal"])
        os.chdir(how["cwd"])
        os.umask(0o077)
        # Python ignores these two, and exec would pass that on.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        os.execv(command[0], command)  # noqa: S606 - no shell is the point
    except OSError as error:
        sys.stderr.write(f"cannot run {command[0]} in {how['cwd']} as user id {os.getuid()}: {error}\n")
        sys.exit(CANNOT_RUN)


def _die_with(parent: int, death_signal: int) -> None:
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(death_signal)) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:
        sys.exit(CANNOT_RUN)


if __name__ == "__main__":
    main(*sys.argv[1:])
