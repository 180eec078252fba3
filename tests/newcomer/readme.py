"""Reads the commands and programs of a README."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

HEADING = re.compile(r"^#+ (.*)$")
FENCE = "```"


@dataclass(frozen=True)
class Block:
    """A fenced block, the heading above it, and its language: empty for commands."""

    heading: str
    language: str
    text: str

    @property
    def commands(self) -> tuple[str, ...]:
        """The commands of the block, each as its lines stand there, without comments at the end of a line."""
        commands = re.split(r"(?<!\\)\n", self.text.strip("\n"))
        return tuple(re.sub(r"\s+# .*$", "", command) for command in commands if command.strip())


def read_blocks(text: str) -> Iterator[Block]:
    """Yield the fenced blocks in their order; raises `ValueError` if the last one has no end."""
    heading, lines = "", iter(text.splitlines())
    for line in lines:
        if found := HEADING.match(line):
            heading = found[1]
        elif line.startswith(FENCE):
            yield Block(heading, line.removeprefix(FENCE).strip(), "\n".join(_until_fence(lines)))


def _until_fence(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        if line.startswith(FENCE):
            return
        yield line
    raise ValueError("the last fenced block has no end")
