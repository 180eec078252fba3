"""What Ingress and HTTPRoute publish: the API and the console, and nothing else of the gateway."""

import re
from collections.abc import Iterator, Sequence

import pytest

from app.gateway.app import create_app
from tests.app.worker.test_worker import settings_for
from tests.deploy.chart import Rendered, template

INGRESS = ("--set", "ingress.enabled=true", "--set", "ingress.hosts[0]=tenants.example.com")
HTTP_ROUTE = ("--set", "httpRoute.enabled=true", "--set", "httpRoute.parentRefs[0].name=public")
DOCUMENTED = ("--set", "publish.documentation=true")
ANNOTATED = ("--set", "ingress.streamAnnotations.timeout=none", "--set", "ingress.annotations.timeout=90s")
INTERNAL = {"/livez", "/health", "/readyz", "/ready", "/startupz", "/metrics"}
DOCUMENTATION = {"/docs", "/docs/assets", "/openapi.json"}
STREAMS = {"/operations/{id}/events", "/exports/{id}/content", "/exports/{id}/parts/{table}"}

# A path, whether it stands for those below it, too, and the timeout of its rule.
Place = tuple[str, bool, str | None]


@pytest.fixture(scope="module")
def routes() -> set[str]:
    """Return the paths of all routes of the gateway, with and without a description in OpenAPI."""
    settings = settings_for("postgresql://nobody@localhost/nowhere")
    return set(_paths(create_app(settings).router.routes))


def _paths(routes: Sequence[object]) -> Iterator[str]:
    for route in routes:
        if hasattr(route, "effective_route_contexts"):
            yield from (context.path for context in route.effective_route_contexts())
        else:
            yield route.path  # type: ignore[attr-defined] # of a route or a mount


def rendered(*options: str) -> Rendered:
    response = template(None, *INGRESS, *HTTP_ROUTE, *options)
    assert response.returncode == 0, response.stderr
    return Rendered(response.stdout)


def of_ingress(found: Rendered) -> list[Place]:
    return [
        (path["path"], path["pathType"] == "Prefix", item["metadata"].get("annotations", {}).get("timeout"))
        for item in found.of_kind("Ingress")
        for path in item["spec"]["rules"][0]["http"]["paths"]
    ]


def of_http_route(found: Rendered) -> list[Place]:
    (route,) = found.of_kind("HTTPRoute")
    return [
        (match["path"]["value"], match["path"]["type"] == "PathPrefix", rule["timeouts"]["request"])
        for rule in route["spec"]["rules"]
        for match in rule["matches"]
    ]


def leading_to(path: str, places: list[Place]) -> list[Place]:
    """Return the places that publish a path, which Ingress and Gateway API compare by whole elements."""
    return [place for place in places if path == place[0] or (place[1] and path.startswith(f"{place[0]}/"))]


@pytest.mark.parametrize("read", [of_ingress, of_http_route])
@pytest.mark.parametrize(("options", "hidden"), [((), INTERNAL | DOCUMENTATION), (DOCUMENTED, INTERNAL)])
def test_all_routes_are_published_but_those_for_the_cluster(
    routes: set[str], read: type, options: tuple[str, ...], hidden: set[str]
) -> None:
    places = read(rendered(*options))
    assert len(routes) > 100
    assert routes >= INTERNAL | DOCUMENTATION
    assert {path for path in routes if not leading_to(path, places)} == hidden
    assert {path for path in routes if len(leading_to(path, places)) > 1} == set()


@pytest.mark.parametrize("read", [of_ingress, of_http_route])
def test_every_published_path_leads_somewhere(routes: set[str], read: type) -> None:
    idle = {place for place in read(rendered(*DOCUMENTED)) if not any(leading_to(path, [place]) for path in routes)}
    assert {place[0] for place in idle} == set()


@pytest.mark.parametrize(("read", "limits"), [(of_ingress, {"90s", "none"}), (of_http_route, {"90s", "0s"})])
def test_streams_have_a_timeout_of_their_own(routes: set[str], read: type, limits: set[str]) -> None:
    places = read(rendered(*ANNOTATED))
    streams = STREAMS | {path for path in routes if re.search(r"/(live|content)\b", path)}
    assert len(streams) > 10
    assert streams <= routes
    (limit,) = {place[2] for path in streams for place in leading_to(path, places)}
    assert limit in limits - {"90s"}
    assert {place[2] for place in places} == limits
    assert {place[2] for place in leading_to("/tenants/{id}", places)} == {"90s"}


def test_timeouts_of_http_routes_can_be_left_to_the_gateway() -> None:
    found = rendered("--set", "httpRoute.streamTimeout=", "--set", "httpRoute.requestTimeout=")
    (route,) = found.of_kind("HTTPRoute")
    assert [rule for rule in route["spec"]["rules"] if "timeouts" in rule] == []


def test_a_rule_has_no_more_matches_than_the_oldest_gateway_api_allows() -> None:
    (route,) = rendered(*DOCUMENTED).of_kind("HTTPRoute")
    assert max(len(rule["matches"]) for rule in route["spec"]["rules"]) <= 8
