"""A process that tries wrong keys, 100 at a time, for as many seconds as each line on its stdin says."""

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
    """The statuses of the answers to wrong secrets of a known key."""
    statuses: Counter[int] = Counter()
    until = time.monotonic() + seconds

    async def knock() -> None:
        while time.monotonic() < until:
            wrong = ApiKey(key_id, ApiKey.generate().secret).text
            statuses[(await http.get(path, headers={"X-API-Key": wrong})).status_code] += 1

    await asyncio.gather(*(knock() for _ in range(AT_ONCE)))
    return statuses


async def main(url: str, path: str, key_id: str) -> None:
    """Answer each line of seconds with a line of JSON: how many answers of each status there were."""
    limits = httpx.Limits(max_connections=AT_ONCE)
    async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT, limits=limits) as http:
        while line := await asyncio.to_thread(sys.stdin.readline):
            statuses = await flood(http, path, key_id, float(line))
            sys.stdout.write(json.dumps(statuses) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
