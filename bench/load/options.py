"""What load is asked for, and on whom it may be put."""

import argparse
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

KEY_VARIABLE = "ALGA_TENANTS_API_KEY"
DEFAULT_URL = "http://127.0.0.1:8000"
LONGEST = 3600.0
ACTIONS = ("create", "poll", "cancel")
DEFAULT_MIX = "create=1,poll=10,cancel=0"


class RefusedError(Exception):
    """This load is not begun; the message says why and what would be taken."""


@dataclass(frozen=True)
class LoadOptions:
    """A run of load: `rate` requests a second, or else `concurrency` requests under way all the time."""

    url: str
    key: str
    rate: float | None
    concurrency: int
    duration: float
    mix: Mapping[str, float]
    most_requests: int
    most_tenants: int
    cancel_rest: bool
    seed: int
    json_file: Path | None = None

    def __repr__(self) -> str:
        return f"LoadOptions(url={self.url!r})"


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> LoadOptions:
    """The options of a command line; the key comes from the environment, where other users can't read it.

    Raises:
        RefusedError: there is no key, or the target is somebody else's machine.
    """
    given = _parser().parse_args(arguments)
    key = environment.get(given.key_variable)
    if not key:
        raise RefusedError(f"set {given.key_variable} to an API key (`alga-tenants keys create` makes one)")
    check_target(given.url, given.i_may_load)
    return LoadOptions(
        url=given.url,
        key=key,
        rate=given.rate,
        concurrency=given.concurrency,
        duration=given.duration,
        mix=given.mix,
        most_requests=given.most_requests,
        most_tenants=given.most_tenants,
        cancel_rest=given.cancel_rest,
        seed=given.seed,
        json_file=given.json,
    )


def check_target(url: str, allowed_host: str | None) -> None:
    """Raise `RefusedError` for a target that is not this machine and was not named twice."""
    host = urlsplit(url).hostname
    if host is None:
        raise RefusedError(f"{url} names no host")
    if not _is_loopback(host) and host != allowed_host:
        raise RefusedError(
            f"{host} is not this machine: load takes it from its other users, and makes tenants that stay."
            f" If it is yours to load, add --i-may-load {host}"
        )


def mix_of(text: str) -> dict[str, float]:
    """The weights in a text like `create=1,poll=10,cancel=0.5`; raises `ArgumentTypeError`."""
    mix = dict.fromkeys(ACTIONS, 0.0)
    for part in text.split(","):
        action, _, weight = part.strip().partition("=")
        if action not in mix:
            raise argparse.ArgumentTypeError(f"{action!r} is none of {', '.join(ACTIONS)}")
        mix[action] = _positive(weight, zero=True)
    if not any(mix.values()):
        raise argparse.ArgumentTypeError("one weight at least must be more than 0")
    return mix


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.load",
        # `--key` would be taken for the start of `--key-variable`, and the key itself for a name that may be shown.
        allow_abbrev=False,
        description="Puts load on a running gateway. Its tenants are named Load …, their users load-…@example.com.",
    )
    parser.add_argument("--url", default=DEFAULT_URL, help=f"the gateway ({DEFAULT_URL})")
    parser.add_argument("--key-variable", default=KEY_VARIABLE, help=f"variable that holds the key ({KEY_VARIABLE})")
    pace = parser.add_mutually_exclusive_group()
    pace.add_argument("--rate", type=_positive, help="requests to begin a second, answered or not")
    pace.add_argument("--concurrency", type=int, default=10, help="requests under way at any time (10)")
    parser.add_argument("--duration", type=_duration, default=30.0, help=f"seconds (30; {LONGEST:.0f} at most)")
    parser.add_argument("--mix", type=mix_of, default=mix_of(DEFAULT_MIX), help=f"weights ({DEFAULT_MIX})")
    parser.add_argument("--most-requests", type=int, default=100_000, help="end after so many (100000)")
    parser.add_argument("--most-tenants", type=int, default=500, help="create no more, and poll instead (500)")
    parser.add_argument("--cancel-rest", action="store_true", help="cancel at the end what has not completed")
    parser.add_argument("--seed", type=int, default=0, help="what decides the order of actions (0)")
    parser.add_argument("--json", type=Path, help="a file for the summary and the ids of all that was made")
    parser.add_argument("--i-may-load", metavar="HOST", help="the URL's host again, where that is not this machine")
    return parser


def _positive(text: str, *, zero: bool = False) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not (value > 0 or (zero and value == 0)) or value == float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def _duration(text: str) -> float:
    seconds = _positive(text)
    if seconds > LONGEST:
        raise argparse.ArgumentTypeError(f"{LONGEST:.0f} seconds at most")
    return seconds


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
