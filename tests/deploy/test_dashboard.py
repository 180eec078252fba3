"""The chart's dashboard is valid for Grafana and uses only existing metrics."""

import json
from typing import Any

import pytest

from tests.deploy.chart import CHART, Rendered, template
from tests.deploy.promql import asked
from tests.support.telemetry.metric_names import TEMPORALS, ours, series

FILE = CHART / "dashboards" / "alga-tenants.json"
SHIPPED = ("--set", "metrics.dashboard.enabled=true")
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS = 24

Panel = dict[str, Any]


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(FILE.read_text())
    return content


@pytest.fixture(scope="module")
def panels(dashboard: dict[str, Any]) -> list[Panel]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def test_it_is_shipped_unchanged_and_only_on_request() -> None:
    (shipped,) = [item for item in rendered(*SHIPPED) if item["metadata"]["name"].endswith("-dashboard")]
    assert shipped["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(shipped["data"]["alga-tenants.json"]) == json.loads(FILE.read_text())
    assert [item for item in rendered() if item["metadata"]["name"].endswith("-dashboard")] == []


def test_it_has_a_row_for_each_part(dashboard: dict[str, Any]) -> None:
    rows = [panel["title"] for panel in dashboard["panels"] if panel["type"] == "row"]
    assert rows == ["Operations", "Gateway", "Worker", "Database", "Processes"]


def test_data_source_and_namespace_are_variables(dashboard: dict[str, Any]) -> None:
    source, namespace = dashboard["templating"]["list"]
    assert (source["name"], source["type"], source["query"]) == ("datasource", "datasource", "prometheus")
    assert (namespace["name"], namespace["datasource"]) == ("namespace", SOURCE)


def test_every_panel_has_a_description_a_unit_and_a_data_source(panels: list[Panel]) -> None:
    assert len({panel["title"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["title"]
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert {str(panel["datasource"]), *(str(target["datasource"]) for target in panel["targets"])} == {
            str(SOURCE)
        }


def test_every_expression_uses_existing_series_and_labels(panels: list[Panel]) -> None:
    known = series()
    for panel in panels:
        assert panel["targets"], panel["title"]
        for target in panel["targets"]:
            wanted = asked(target["expr"].replace("$__rate_interval", "5m"))
            assert wanted, panel["title"]
            assert target["expr"].count('namespace="$namespace"') == len(wanted), panel["title"]
            for name, labels in wanted:
                assert labels <= known[name], (panel["title"], name)


def test_every_metric_of_ours_is_shown(panels: list[Panel]) -> None:
    text = " ".join(target["expr"] for panel in panels for target in panel["targets"])
    finished = "temporal_workflow_completed_total"  # our own counter has more outcomes
    assert [name for name in {*ours(), *TEMPORALS} - {finished} if name not in text] == []


def test_panels_do_not_overlap(dashboard: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        columns, lines = range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        cells = {(column, line) for column in columns for line in lines}
        assert not cells & taken, panel["title"]
        assert max(columns) < COLUMNS
        taken |= cells
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def rendered(*options: str) -> list[dict[str, Any]]:
    result = template(None, *options)
    assert result.returncode == 0, result.stderr
    return Rendered(result.stdout).objects
