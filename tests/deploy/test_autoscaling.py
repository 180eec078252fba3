"""An autoscaler takes over the pods that run: the chart keeps their number, which it reads from the cluster."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.deploy.chart import PROCESSES, RELEASE, Rendered, template
from tests.deploy.cluster import Owner, cluster

SCALED = {
    "gateway": ("--set", "gateway.autoscaling.enabled=true"),
    "worker": ("--set", "worker.autoscaling.enabled=true"),
    "keda": ("--set", "worker.keda.enabled=true"),
}


BY_SERVER, BY_HELM = ("helm", "Apply", True), ("helm", "Update", True)
AUTOSCALER = ("kube-controller-manager", "Update", True)


def replicas(
    folder: Path, running: Mapping[str, int], *options: str, owners: Sequence[Owner] = (BY_SERVER,)
) -> dict[str, int | None]:
    """Return the numbers of pods in the Deployments, rendered against a cluster in which those run."""
    names = {f"{RELEASE}-alga-tenants-{process}": number for process, number in running.items()}
    with cluster(folder, names, owners) as kubeconfig:
        server = ("--dry-run=server", "--disable-openapi-validation", "--kubeconfig", str(kubeconfig))
        response = template(None, *server, *options)
    assert response.returncode == 0, response.stderr
    rendered = Rendered(response.stdout)
    return {process: rendered.named("Deployment", process)["spec"].get("replicas") for process in PROCESSES}


@pytest.mark.parametrize("running", [7, 1, 0])
def test_switching_it_on_keeps_the_pods_that_run(tmp_path: Path, running: int) -> None:
    for scaled in (SCALED["worker"], SCALED["keda"]):
        found = replicas(tmp_path, {"gateway": running, "worker": running}, *SCALED["gateway"], *scaled)
        assert found == {"gateway": running, "worker": running}


@pytest.mark.parametrize(
    ("owners", "kept"),
    [
        # Helm 4 has set the number; the autoscaler has not, or to the same.
        ([BY_SERVER], 7),
        ([BY_SERVER, AUTOSCALER], 7),
        # Since then the autoscaler has changed it, so that it stays without Helm.
        ([("helm", "Apply", False), AUTOSCALER], None),
        # Helm 3 resets what its previous manifest had.
        ([BY_HELM], 7),
        ([("helm", "Update", False), AUTOSCALER], 7),
        ([("helm-controller", "Update", False), AUTOSCALER], 7),
        # Not known.
        ([], 7),
        ([AUTOSCALER], 7),
    ],
)
def test_the_number_is_written_only_if_helm_would_reset_it(
    tmp_path: Path, owners: Sequence[Owner], kept: int | None
) -> None:
    found = replicas(tmp_path, {"gateway": 7}, *SCALED["gateway"], owners=owners)
    assert found["gateway"] == kept


def test_the_first_install_leaves_the_number_to_the_autoscaler(tmp_path: Path) -> None:
    assert replicas(tmp_path, {}, *SCALED["gateway"]) == {"gateway": None, "worker": 2}


def test_without_it_the_number_is_that_of_the_values(tmp_path: Path) -> None:
    running = {"gateway": 7, "worker": 7}
    assert replicas(tmp_path, running, "--set", "worker.replicas=3") == {"gateway": 2, "worker": 3}
