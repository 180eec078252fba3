"""The chart's alerts use existing series, have useful texts, and fire when they should."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.telemetry.metrics.definitions import HTTP_REQUEST_DURATION
from tests.deploy.chart import CHART, NAMESPACE, REPOSITORY, Rendered, run, template
from tests.deploy.promql import asked
from tests.support.servers.program import need_program
from tests.support.telemetry.metric_names import series

RULES = Path(__file__).parent / "rules"
VALUES = Path(__file__).parent / "values" / "everything.yaml"
RUNBOOK = (REPOSITORY / "docs" / "runbook.md").read_text()
SECTIONS = re.findall(r"^### (AlgaTenants\w+)\n\n((?:.+\n)+)", RUNBOOK, re.MULTILINE)

Alert = dict[str, Any]


def groups_of(values: Path | None, *options: str) -> list[dict[str, Any]]:
    result = template(values, "--set", "metrics.prometheusRule.enabled=true", *options)
    assert result.returncode == 0, result.stderr
    (rule,) = Rendered(result.stdout).of_kind("PrometheusRule")
    groups: list[dict[str, Any]] = rule["spec"]["groups"]
    return groups


@pytest.fixture(scope="module")
def alerts() -> list[Alert]:
    return [alert for group in groups_of(VALUES) for alert in group["rules"]]


def test_alerts_use_existing_series_and_labels(alerts: list[Alert]) -> None:
    known = series()
    for alert in alerts:
        wanted = asked(alert["expr"])
        assert wanted, alert["alert"]
        for name, labels in wanted:
            assert labels <= known[name], (alert["alert"], name)
        assert alert["expr"].count(f'namespace="{NAMESPACE}"') == len(wanted)


def test_every_alert_has_a_severity_a_cause_and_a_remedy(alerts: list[Alert]) -> None:
    for alert in alerts:
        assert alert["labels"]["severity"] in {"warning", "critical"}
        said = alert["annotations"]
        assert said.keys() == {"summary", "description", "action", "runbook_url"}, alert["alert"]
        assert all(said.values())
        assert "$value" in said["description"]
        assert said["runbook_url"] == f"docs/runbook.md#{alert['alert'].lower()}"


def test_alerts_and_sections_of_the_runbook_correspond(alerts: list[Alert]) -> None:
    assert [name for name, _ in SECTIONS] == [alert["alert"] for alert in alerts]
    for name, text in SECTIONS:
        assert re.findall(r"^- (\w+): ", text, re.MULTILINE) == ["Means", "Look", "Do"], name


def test_a_section_names_only_existing_values() -> None:
    rule = yaml.safe_load((CHART / "values.yaml").read_text())["metrics"]["prometheusRule"]
    named = {word for _, text in SECTIONS for word in re.findall(r"`(slo\.\w+|[a-z]+(?:[A-Z][a-z]+)+)`", text)}
    values = set(rule) | {f"slo.{name}" for name in rule["slo"]}
    assert named & values
    assert named - values <= {"attentionDeadline", "databaseTo", "temporalTo", "mailTo", "metricsFrom"}


def test_thresholds_are_values(alerts: list[Alert]) -> None:
    (urgent,) = [alert for alert in alerts if alert["alert"] == "AlgaTenantsAttentionEndsSoon"]
    assert urgent["expr"].endswith("> 1000000")
    slo = 'metrics.prometheusRule.slo={"availability": 0.99}'
    strict = [alert for group in groups_of(None, "--set-json", slo) for alert in group["rules"]]
    (errors,) = [alert for alert in strict if alert["alert"] == "AlgaTenantsErrorsBurnFast"]
    assert "> 0.144 and" in errors["expr"]


def test_the_latency_objective_is_a_bucket_of_the_histogram() -> None:
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())
    rule = schema["properties"]["metrics"]["properties"]["prometheusRule"]["properties"]
    HTTP_REQUEST_DURATION.labels("GET", "/tenants")
    buckets = {sample.labels.get("le") for family in HTTP_REQUEST_DURATION.collect() for sample in family.samples}
    assert set(rule["slo"]["properties"]["latencySeconds"]["enum"]) <= buckets


@pytest.fixture(scope="module")
def promtool() -> str:
    return need_program("promtool", package="prometheus")


@pytest.fixture(scope="module")
def rules(promtool: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with the chart's rules, which promtool accepts."""
    file = tmp_path_factory.mktemp("rules") / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": groups_of(None)}))
    checked = run(promtool, "check", "rules", str(file))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    return file


@pytest.mark.parametrize("case", sorted(RULES.glob("*.yaml")), ids=lambda path: path.stem)
def test_alerts_fire_when_they_should(case: Path, promtool: str, rules: Path, tmp_path: Path) -> None:
    shutil.copy(rules, tmp_path)
    shutil.copy(case, tmp_path)
    result = run(promtool, "test", "rules", str(tmp_path / case.name))
    assert result.returncode == 0, result.stdout + result.stderr
