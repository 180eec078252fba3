"""The chart as rendered by Helm."""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]
CHART = REPOSITORY / "helm"
NAMESPACE = "tenants"
RELEASE = "trial"
PROCESSES = ("gateway", "worker")

Manifest = dict[str, Any]


def program(name: str) -> str:
    """Return the path of a program that `make test` has fetched or the machine has; skip the test without it."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is neither fetched (Linux on x86-64 only) nor installed")
    return found


def run(*command: str, cwd: Path = REPOSITORY) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - a command line of ours


def template(values: Path | None = None, *options: str) -> subprocess.CompletedProcess[str]:
    """Return the output of `helm template`."""
    files = ["--values", str(values)] if values else []
    return run(program("helm"), "template", RELEASE, str(CHART), "--namespace", NAMESPACE, *files, *options)


class Rendered:
    """All objects of a release."""

    def __init__(self, text: str) -> None:
        self.objects: list[Manifest] = [item for item in yaml.load_all(text, Loader=yaml.CSafeLoader) if item]

    def of_kind(self, kind: str) -> list[Manifest]:
        return [item for item in self.objects if item["kind"] == kind]

    def named(self, kind: str, process: str) -> Manifest:
        """Return the only object of that kind for that process."""
        (found,) = [item for item in self.of_kind(kind) if component(item) == process]
        return found

    def pods(self) -> Iterator[tuple[Manifest, Manifest]]:
        """Return metadata and spec of every pod."""
        for item in self.objects:
            if item["kind"] in {"Deployment", "Job"}:
                yield item["spec"]["template"]["metadata"], item["spec"]["template"]["spec"]
            elif item["kind"] == "Pod":
                yield item["metadata"], item["spec"]

    def selected_by(self, selector: Mapping[str, str]) -> list[tuple[Manifest, Manifest]]:
        """Return the pods that have these labels."""
        return [(meta, spec) for meta, spec in self.pods() if selector.items() <= meta["labels"].items()]

    def environment(self, process: str) -> dict[str, str]:
        """Return the environment variables of a process."""
        if process == "migrate":
            (container,) = self.named("Job", process)["spec"]["template"]["spec"]["containers"]
            return {item["name"]: item["value"] for item in container["env"]}
        data: dict[str, str] = self.named("ConfigMap", process)["data"]
        return data


def component(item: Manifest) -> str:
    name: str = item["metadata"]["labels"]["app.kubernetes.io/component"]
    return name


def containers(spec: Manifest) -> Sequence[Manifest]:
    return [*spec.get("initContainers", []), *spec["containers"]]
