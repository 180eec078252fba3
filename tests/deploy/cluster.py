"""The part of Kubernetes' API that Helm needs to render for a cluster, on loopback."""

import json
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.chart import NAMESPACE, RELEASE

KINDS = {
    "ServiceAccount": "v1",
    "Service": "v1",
    "ConfigMap": "v1",
    "Pod": "v1",
    "Deployment": "apps/v1",
    "Job": "batch/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "PodDisruptionBudget": "policy/v1",
    "NetworkPolicy": "networking.k8s.io/v1",
    "ScaledObject": "keda.sh/v1alpha1",
}
OWNED = {"meta.helm.sh/release-name": RELEASE, "meta.helm.sh/release-namespace": NAMESPACE}
NOT_FOUND = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}

Documents = dict[str, Mapping[str, Any]]
# A manager of fields, its operation, and whether the number of pods is one of them.
Owner = tuple[str, str, bool]


@contextmanager
def cluster(folder: Path, replicas: Mapping[str, int], owners: Sequence[Owner]) -> Iterator[Path]:
    """Serve Deployments of the release that run that many pods, by name; the value is the kubeconfig.

    `owners` are the managers of their fields.
    """
    documents = _discovery() | {
        f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{name}": _deployment(name, number, owners)
        for name, number in replicas.items()
    }

    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = documents.get(self.path.partition("?")[0])
            body = json.dumps(found or NOT_FOUND).encode()
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        yield _kubeconfig(folder / "kubeconfig", f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


def _discovery() -> Documents:
    resources: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for kind, version in KINDS.items():
        name = "networkpolicies" if kind == "NetworkPolicy" else f"{kind.lower()}s"
        resources[version].append({"name": name, "namespaced": True, "kind": kind, "verbs": ["get"]})
    groups = [version.partition("/") for version in resources if "/" in version]
    served = [{"groupVersion": "".join(parts), "version": parts[2]} for parts in groups]
    return {
        "/version": {"major": "1", "minor": "33", "gitVersion": "v1.33.0"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {
            "kind": "APIGroupList",
            "groups": [
                {"name": parts[0], "versions": [version], "preferredVersion": version}
                for parts, version in zip(groups, served, strict=True)
            ],
        },
        **{
            f"/{'apis' if '/' in version else 'api'}/{version}": {
                "kind": "APIResourceList",
                "groupVersion": version,
                "resources": listed,
            }
            for version, listed in resources.items()
        },
    }


def _deployment(name: str, replicas: int, owners: Sequence[Owner]) -> dict[str, Any]:
    managed = [
        {
            "manager": manager,
            "operation": operation,
            "apiVersion": "apps/v1",
            "fieldsType": "FieldsV1",
            "fieldsV1": {"f:spec": {"f:template": {}, **({"f:replicas": {}} if has_replicas else {})}},
        }
        for manager, operation, has_replicas in owners
    ]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": {"app.kubernetes.io/managed-by": "Helm"},
            "annotations": OWNED,
            "managedFields": managed,
        },
        "spec": {"replicas": replicas},
    }


def _kubeconfig(file: Path, address: str) -> Path:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "trial",
        "clusters": [{"name": "trial", "cluster": {"server": address}}],
        "contexts": [{"name": "trial", "context": {"cluster": "trial", "user": "trial"}}],
        "users": [{"name": "trial", "user": {}}],
    }
    file.write_text(yaml.safe_dump(config))
    return file
