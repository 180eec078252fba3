"""The options of a load run, and the check of its target."""

import argparse
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

KEY_VARIABLE = "ALGA_TENANTS_API_KEY"
DEFAULT_URL = "http://127.0.0.1:8000"
MAX_DURATION = 3600.0
ACTIONS = ("create", "poll", "cancel")
DEFAULT_MIX = "create=1,poll=10,cancel=0"


class LoadRefusedError(Exception):
    """The load is refused; the message says why and what is accepted."""


@dataclass(frozen=True)
class LoadOptions:
    """A load run: `rate` requests per second, or else `concurrency` requests always in flight."""

    url: str
    key: str
    rate: float | None
    concurrency: int
    duration: float
    mix: Mapping[str, float]
    max_requests: int
    max_tenants: int
    cancel_rest: bool
    seed: int
    json_file: Path | None = None

    def __repr__(self) -> str:
        return f"LoadOptions(url={self.url!r})"


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> LoadOptions:
    """Return the options of a command line; the key comes from the environment, where other users can't read it.

    Raises:
        LoadRefusedError: there is no key, or the target is another machine.
    """
    given = _parser().parse_args(arguments)
    key = environment.get(given.key_variable)
    if not key:
        raise LoadRefusedError(f"set {given.key_variable} to an API key (`alga-tenants keys create` makes one)")
    check_target(given.url, given.i_may_load)
    return LoadOptions(
        url=given.url,
        key=key,
        rate=given.rate,
        concurrency=given.concurrency,
        duration=given.duration,
        mix=given.mix,
        max_requests=given.max_requests,
        max_tenants=given.max_tenants,
        cancel_rest=given.cancel_rest,
        seed=given.seed,
        json_file=given.json,
    )


def check_target(url: str, allowed_host: str | None) -> None:
    """Raise `LoadRefusedError` if the target is another machine that was not named twice."""
    host = urlsplit(url).hostname
    if host is None:
        raise LoadRefusedError(f"{url} names no host")
    if not _is_loopback(host) and host != allowed_host:
        raise LoadRefusedError(
            f"{host} is not this machine: load slows its other users, and creates tenants that stay."
            f" If you may load it, add --i-may-load {host}"
        )


def mix_of(text: str) -> dict[str, float]:
    """Return the weights in a text like `create=1,poll=10,cancel=0.5`; raises `ArgumentTypeError`."""
    mix = dict.fromkeys(ACTIONS, 0.0)
    for part in text.split(","):
        action, _, weight = part.strip().partition("=")
        if action not in mix:
            raise argparse.ArgumentTypeError(f"{action!r} is not one of {', '.join(ACTIONS)}")
        mix[action] = _positive(weight, zero=True)
    if not any(mix.values()):
        raise argparse.ArgumentTypeError("at least one weight must be more than 0")
    return mix


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.load",
        # Otherwise `--key` would mean `--key-variable`, and the key would be printed as a name.
        allow_abbrev=False,
        description="Puts load on a running gateway. Its tenants are named Load …, their users load-…@example.com.",
    )
    parser.add_argument("--url", default=DEFAULT_URL, help=f"the gateway ({DEFAULT_URL})")
    parser.add_argument("--key-variable", default=KEY_VARIABLE, help=f"variable that holds the key ({KEY_VARIABLE})")
    pace = parser.add_mutually_exclusive_group()
    pace.add_argument("--rate", type=_positive, help="requests to start per second, finished or not")
    pace.add_argument("--concurrency", type=int, default=10, help="requests in flight at any time (10)")
    parser.add_argument("--duration", type=_duration, default=30.0, help=f"seconds (30; {MAX_DURATION:.0f} at most)")
    parser.add_argument("--mix", type=mix_of, default=mix_of(DEFAULT_MIX), help=f"weights ({DEFAULT_MIX})")
    parser.add_argument("--max-requests", type=int, default=100_000, help="stop after so many (100000)")
    parser.add_argument(
        "--max-tenants", type=int, default=500, help="create no more than these, then poll instead (500)"
    )
    parser.add_argument("--cancel-rest", action="store_true", help="cancel unfinished operations at the end")
    parser.add_argument("--seed", type=int, default=0, help="seed of the order of actions (0)")
    parser.add_argument("--json", type=Path, help="file for the summary and the ids of all operations")
    parser.add_argument("--i-may-load", metavar="HOST", help="the URL's host again, if that is not this machine")
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
    if seconds > MAX_DURATION:
        raise argparse.ArgumentTypeError(f"at most {MAX_DURATION:.0f} seconds are allowed")
    return seconds


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
