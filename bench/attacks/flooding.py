"""A process that tries wrong keys, 100 at a time, for the seconds in each line of its stdin."""

import asyncio
import json
import sys
import time
from collections import Counter

import httpx

from app.auth.keys.format import ApiKey

AT_ONCE = 100
TIMEOUT = 60.0


async def flood(http: httpx.AsyncClient, path: str, key_id: str, seconds: float) -> Counter[int]:
    """Count the statuses of responses to wrong secrets of a known key."""
    statuses: Counter[int] = Counter()
    until = time.monotonic() + seconds

    async def try_key() -> None:
        while time.monotonic() < until:
            wrong = ApiKey(key_id, ApiKey.generate().secret).text
            statuses[(await http.get(path, headers={"X-API-Key": wrong})).status_code] += 1

    await asyncio.gather(*(try_key() for _ in range(AT_ONCE)))
    return statuses


async def main(url: str, path: str, key_id: str) -> None:
    """Write for each line of seconds a line of JSON with the number of responses by status."""
    limits = httpx.Limits(max_connections=AT_ONCE)
    async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT, limits=limits) as http:
        while line := await asyncio.to_thread(sys.stdin.readline):
            statuses = await flood(http, path, key_id, float(line))
            sys.stdout.write(json.dumps(statuses) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
