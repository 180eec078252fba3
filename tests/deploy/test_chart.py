"""The chart, rendered for each file of values, is valid, restricted, and consistent with the code that it deploys."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes_validate.utils import validate
from pydantic import SecretStr

from app import probes
from app.settings import Settings
from scripts.helm_readme import readme
from tests.deploy.chart import (
    CHART,
    PROCESSES,
    Manifest,
    Rendered,
    component,
    containers,
    program,
    run,
    template,
)

OLDEST, NEWEST = "1.27", "1.37"
# Kinds of other projects, without a schema in Kubernetes.
OTHERS = {
    ("monitoring.coreos.com/v1", "ServiceMonitor"),
    ("monitoring.coreos.com/v1", "PodMonitor"),
    ("monitoring.coreos.com/v1", "PrometheusRule"),
    ("keda.sh/v1alpha1", "ScaledObject"),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"),
}
SECRETS = {name.upper() for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}


def test_lint_passes(values: Path) -> None:
    result = run(program("helm"), "lint", "--strict", str(CHART), "--values", str(values))
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_every_object_is_valid(rendered: Rendered, version: str) -> None:
    for item in rendered.objects:
        if (item["apiVersion"], item["kind"]) not in OTHERS:
            validate(item, version, strict=True)


def test_names_are_unique_and_all_in_the_namespace(rendered: Rendered) -> None:
    names = [(item["kind"], item["metadata"]["name"]) for item in rendered.objects]
    assert len(names) == len(set(names))
    assert {item["metadata"]["namespace"] for item in rendered.objects} == {"tenants"}


def test_probes_use_paths_that_the_processes_serve(rendered: Rendered) -> None:
    for process in PROCESSES:
        container = the_container(rendered, process)
        (port,) = container["ports"]
        asked = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
        assert {name: get["path"] for name, get in asked.items()} == {
            "startup": probes.STARTUP_PATH,
            "liveness": probes.LIVE_PATHS[0],
            "readiness": probes.READY_PATHS[0],
        }
        assert {get["port"] for get in asked.values()} == {port["name"]}
        patience = [container[f"{name}Probe"]["timeoutSeconds"] for name in ("startup", "readiness")]
        assert min(patience) > probes.CHECK_TIMEOUT


def test_ports_match_those_of_the_processes(rendered: Rendered) -> None:
    for process, setting in zip(PROCESSES, ("gateway_port", "worker_probe_port"), strict=True):
        (port,) = the_container(rendered, process)["ports"]
        assert port["containerPort"] == getattr(settings_of(rendered, process), setting)
        service = rendered.named("Service", process)
        (exposed,) = service["spec"]["ports"]
        assert exposed["targetPort"] == port["name"]
        assert [meta["labels"]["app.kubernetes.io/component"] for meta, _ in selected(rendered, service)] == [process]


def test_variables_are_valid_settings(rendered: Rendered) -> None:
    known = {name.upper() for name in Settings.model_fields} | {"SECRETS_DIR"}
    for process in the_processes(rendered):
        assert rendered.environment(process).keys() <= known
        assert settings_of(rendered, process).environment == "production"


def test_secrets_are_mounted_as_files(rendered: Rendered) -> None:
    assert rendered.of_kind("Secret") == []
    assert len(SECRETS) >= 3
    for process in the_processes(rendered):
        environment = rendered.environment(process)
        assert not environment.keys() & SECRETS
        ((_, spec),) = [pod for pod in rendered.pods() if pod[1]["containers"][0]["name"] == process]
        mounts = {mount["mountPath"]: mount["name"] for mount in spec["containers"][0]["volumeMounts"]}
        volume = mounts[environment["SECRETS_DIR"]]
        assert next(item["projected"]["sources"] for item in spec["volumes"] if item["name"] == volume)


def test_no_container_has_needless_privileges(rendered: Rendered) -> None:
    for _, spec in rendered.pods():
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] == 10001
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not spec.keys() & {"hostNetwork", "hostPID", "hostIPC"}
        assert not [volume for volume in spec.get("volumes", []) if "hostPath" in volume]
        for container in containers(spec):
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert "runAsUser" not in context
            assert container["resources"]["limits"]["memory"]


def test_the_grace_period_exceeds_the_drain(rendered: Rendered) -> None:
    for process in PROCESSES:
        settings = settings_of(rendered, process)
        grace = rendered.named("Deployment", process)["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
        delay = settings.shutdown_delay if process == "gateway" else 0
        assert settings.shutdown_grace_period + delay < grace


def test_arguments_are_commands(rendered: Rendered) -> None:
    commands = [container["args"] for _, spec in rendered.pods() for container in containers(spec)]
    assert sorted(args for args in commands if args in (["gateway"], ["worker"])) == [["gateway"], ["worker"]]


def test_selectors_match_pods(rendered: Rendered) -> None:
    for item in rendered.objects:
        if item["kind"] in {"PodDisruptionBudget", "PodMonitor"}:
            assert len(selected(rendered, item)) == 1
        if item["kind"] == "ServiceMonitor":
            labels = item["spec"]["selector"]["matchLabels"]
            (service,) = [each for each in rendered.of_kind("Service") if is_part(labels, each["metadata"]["labels"])]
            assert item["spec"]["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]
        if item["kind"] in {"HorizontalPodAutoscaler", "ScaledObject"}:
            target = rendered.named("Deployment", component(item))
            assert item["spec"]["scaleTargetRef"]["name"] == target["metadata"]["name"]
            assert "replicas" not in target["spec"]


def test_pod_monitors_use_an_existing_port(rendered: Rendered) -> None:
    for item in rendered.of_kind("PodMonitor"):
        (endpoint,) = item["spec"]["podMetricsEndpoints"]
        assert endpoint["port"] == the_container(rendered, component(item))["ports"][0]["name"]
        assert endpoint["path"] == "/metrics"


def test_routes_lead_to_the_gateway(rendered: Rendered) -> None:
    gateway = rendered.named("Service", "gateway")
    (port,) = gateway["spec"]["ports"]
    for item in rendered.of_kind("Ingress"):
        for path in item["spec"]["rules"][0]["http"]["paths"]:
            backend = path["backend"]["service"]
            assert backend == {"name": gateway["metadata"]["name"], "port": {"name": port["name"]}}
    for item in rendered.of_kind("HTTPRoute"):
        for rule in item["spec"]["rules"]:
            (reference,) = rule["backendRefs"]
            assert reference == {"name": gateway["metadata"]["name"], "port": port["port"]}


def test_all_traffic_is_denied_except_what_a_process_needs(rendered: Rendered) -> None:
    policies = rendered.of_kind("NetworkPolicy")
    if not policies:
        assert template_values("bare")["networkPolicy"]["enabled"] is False
        return
    denying = [item for item in policies if not item["spec"].keys() & {"ingress", "egress"}]
    assert len(selected(rendered, denying[0], key="podSelector")) == len(list(rendered.pods()))
    for process in PROCESSES:
        policy = rendered.named("NetworkPolicy", process)
        opened = {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}
        address = settings_of(rendered, process).temporal_address
        assert {53, int(address.rpartition(":")[2])} < opened
        (rule,) = policy["spec"]["ingress"]
        assert rule["from"]
        assert rule["ports"][0]["port"] == the_container(rendered, process)["ports"][0]["name"]


@pytest.mark.parametrize(
    ("options", "port"),
    [
        (["MAIL_PROVIDER=smtp"], 587),
        (["MAIL_PROVIDER=smtp", "SMTP_TLS=implicit"], 465),
        (["MAIL_PROVIDER=smtp", "SMTP_PORT=2525"], 2525),
        (["MAIL_PROVIDER=resend"], 443),
        (["MAIL_PROVIDER=none"], None),
    ],
)
def test_only_a_worker_that_sends_mails_reaches_what_takes_them(options: list[str], port: int | None) -> None:
    given = [part for option in options for part in ("--set", f"worker.config.{option}")]
    rendered = Rendered(template(None, *given, "--set", "networkPolicy.mailTo[0].ipBlock.cidr=10.3.0.0/16").stdout)

    def opened(process: str) -> list[int]:
        egress = rendered.named("NetworkPolicy", process)["spec"]["egress"]
        return [rule["ports"][0]["port"] for rule in egress if "ipBlock" in str(rule.get("to"))]

    assert opened("worker") == ([] if port is None else [port])
    assert opened("gateway") == []


def test_migrations_run_first() -> None:
    job = rendered_with("defaults").named("Job", "migrate")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    # Before a hook of an install, no object of the release exists.
    assert "serviceAccountName" not in job["spec"]["template"]["spec"]
    plain = rendered_with("keda").named("Job", "migrate")
    assert not [name for name in plain["metadata"]["annotations"] if name.startswith("helm.sh/hook")]
    assert plain["metadata"]["name"].endswith("-1")


def test_a_versioned_worker_has_the_images_version() -> None:
    assert "TEMPORAL_WORKER_VERSION" not in rendered_with("everything").environment("worker")
    versioned = Rendered(template(None, "--set", "worker.versioning.enabled=true", "--set", "image.tag=1.2.3").stdout)
    assert versioned.environment("worker")["TEMPORAL_WORKER_VERSION"] == "trial-alga-tenants:1.2.3"
    assert "TEMPORAL_WORKER_VERSION" not in versioned.environment("gateway")


def test_new_settings_replace_the_pods() -> None:
    def checksum(*options: str) -> str:
        deployment = Rendered(template(None, *options).stdout).named("Deployment", "worker")
        found: str = deployment["spec"]["template"]["metadata"]["annotations"]["checksum/settings"]
        return found

    assert checksum() == checksum() != checksum("--set", "config.LOG_LEVEL=debug")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["worker.keda.enabled=true", "worker.autoscaling.enabled=true"], "switch one of them off"),
        (["metrics.serviceMonitor.enabled=true", "metrics.podMonitor.enabled=true"], "switch one of them off"),
        (["ingress.enabled=true"], "ingress.hosts"),
        (["httpRoute.enabled=true"], "httpRoute.parentRefs"),
        (["gateway.replica=3"], "replica"),
        (["config.log_level=debug"], "log_level"),
        *[([f"config.{name}=x"], name) for name in sorted(SECRETS)],
    ],
)
def test_invalid_values_are_rejected(options: list[str], said: str) -> None:
    result = template(None, *[part for option in options for part in ("--set", option)])
    assert result.returncode != 0
    assert said in result.stderr


def test_the_readme_documents_every_value() -> None:
    text = (CHART / "README.md").read_text()
    assert readme(text, (CHART / "values.yaml").read_text()) == text, "run `python scripts/helm_readme.py`"
    for path in leaves(yaml.safe_load((CHART / "values.yaml").read_text())):
        parts = path.split(".")
        assert any(f"| `{'.'.join(parts[:end])}` |" in text for end in range(1, len(parts) + 1)), path


def leaves(values: Any, path: str = "") -> list[str]:
    if not isinstance(values, dict) or not values:
        return [path.lstrip(".")]
    return [leaf for key, value in values.items() for leaf in leaves(value, f"{path}.{key}")]


def template_values(name: str) -> Any:
    return yaml.safe_load((Path(__file__).parent / "values" / f"{name}.yaml").read_text())


def rendered_with(name: str) -> Rendered:
    return Rendered(template(Path(__file__).parent / "values" / f"{name}.yaml").stdout)


def the_container(rendered: Rendered, process: str) -> Manifest:
    (container,) = rendered.named("Deployment", process)["spec"]["template"]["spec"]["containers"]
    found: Manifest = container
    return found


def the_processes(rendered: Rendered) -> list[str]:
    return [*PROCESSES, *(["migrate"] if rendered.of_kind("Job") else [])]


def settings_of(rendered: Rendered, process: str) -> Settings:
    """Return the settings as the process would read them."""
    variables = {
        name.lower(): value for name, value in rendered.environment(process).items() if name != "SECRETS_DIR"
    }
    for folder in ("blueprints_dir", "mail_templates_dir"):
        variables.pop(folder, None)
    return Settings(
        database_url=SecretStr("postgresql://alga:s3cret-word@db/alga"),
        admin_database_url=SecretStr("postgresql://alga:s3cret-word@db/alga"),
        nextauth_secret=SecretStr("long-enough-to-be-one"),
        **variables,  # type: ignore[arg-type] # text, as in the environment
    )


def selected(rendered: Rendered, item: Manifest, key: str = "selector") -> list[tuple[Manifest, Manifest]]:
    selector = item["spec"][key]
    return rendered.selected_by(selector.get("matchLabels", selector))


def is_part(labels: dict[str, str], of: dict[str, str]) -> bool:
    return labels.items() <= of.items()
