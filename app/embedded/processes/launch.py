"""The program that starts every child: drops root, ties its life to its parent's, and becomes the real command.

It runs as a script and imports nothing of ours. It is no `preexec_fn`, because running Python between fork and exec
is unsafe once the parent has threads, which the Temporal client starts.
"""

import ctypes
import json
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
CANNOT_RUN = 126


def main(options_json: str, *command: str) -> None:
    """Replace this process by `command`; exits with 126 and a reason on stderr if that is impossible."""
    options = json.loads(options_json)
    try:
        if options["uid"] is not None:
            os.setgroups([])
            os.setgid(options["gid"])
            os.setuid(options["uid"])
        # After the change of user, which makes the kernel forget the death signal.
        if sys.platform == "linux":
            _die_with(options["parent"], options["death_signal"])
        os.chdir(options["cwd"])
        os.umask(0o077)
        # Python ignores these two, which exec would pass on.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        os.execv(command[0], command)  # noqa: S606 - no shell is the point
    except OSError as error:
        sys.stderr.write(f"cannot run {command[0]} in {options['cwd']} as user id {os.getuid()}: {error}\n")
        sys.exit(CANNOT_RUN)


def _die_with(parent: int, death_signal: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(death_signal)) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:
        sys.exit(CANNOT_RUN)


if __name__ == "__main__":
    main(*sys.argv[1:])
