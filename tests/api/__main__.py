"""`python -m tests.api`: thousands of generated requests; exits with 1 if the gateway broke its contract."""

import argparse
import secrets
import sys

from app.embedded.processes.signals import stop_on_signals
from tests.api.installation import running_service
from tests.api.trial import Trial, try_api
from tests.support.folders import reachable_folder


def main() -> int:
    """Run as the command line says and return the exit status."""
    arguments = _parse()
    trial = Trial(arguments.seed, arguments.examples, targets=arguments.examples // 4, seconds=arguments.seconds)
    with stop_on_signals(), reachable_folder() as folder, running_service(folder / "service") as installation:
        verdict = try_api(trial, installation, folder)
    say(f"{verdict}\nagain: make test-api SEED={trial.seed}")
    if verdict.cases < arguments.at_least:
        say(f"fewer than {arguments.at_least} cases: give more --examples")
        return 1
    return 0 if verdict.is_good else 1


def say(line: str) -> None:
    """Print and flush."""
    print(line, flush=True)  # noqa: T201 - a command


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.api", description=__doc__)
    parser.add_argument("--examples", type=int, default=400, help="how many cases a route and random phase (400)")
    parser.add_argument("--at-least", type=int, default=5000, help="how many cases it takes for success (5000)")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000), help="what decides the cases")
    parser.add_argument("--seconds", type=float, default=700.0, help="when to give up (700)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
