import re
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter

from app.auth.keys.format import KEY_PATTERN
from app.gateway.app import create_app
from app.settings import Settings

EVERYWHERE = {"401", "403", "422", "429", "431", "500", "503"}
BODY = {"400", "413", "415"}
KEYED = {
    ("post", "/tenants"): {"201", "202", "502", "404", "409", "504", *BODY},
    ("get", "/tenants"): {"200", "304"},
    ("get", "/tenants/counts"): {"200", "304"},
    ("get", "/tenants/{id}"): {"200", "404"},
    ("get", "/tenants/{id}/footprint"): {"200", "404", "501", "504"},
    ("get", "/tenants/{id}/users"): {"200", "304", "404"},
    ("put", "/tenants/{id}/suspension"): {"200", "202", "404", "409", "502", *BODY},
    ("delete", "/tenants/{id}/suspension"): {"200", "202", "404", "409", "502", *BODY},
    ("patch", "/tenants/{id}/licence"): {"200", "202", "404", "409", "502", *BODY},
    ("put", "/tenants/{id}/addons/{key}"): {"200", "202", "404", "409", "502", *BODY},
    ("delete", "/tenants/{id}/addons/{key}"): {"200", "202", "404", "409", "502", *BODY},
    ("post", "/tenants/{id}/welcome-email"): {"200", "202", "404", "409", "502", *BODY},
    ("post", "/tenants/{id}/deletion"): {"202", "404", "409", "502", *BODY},
    ("get", "/tenants/{id}/deletion"): {"200", "404", "502"},
    ("post", "/tenants/{id}/deletion/confirm"): {"202", "404", "409", "502", *BODY},
    ("post", "/tenants/{id}/deletion/undo"): {"202", "404", "409", "502", *BODY},
    ("get", "/tenants/{id}/deletion/certificate"): {"200", "404", "502"},
    ("post", "/tenants/{id}/product-change"): {"200", "202", "404", "409", "502", *BODY},
    ("get", "/tenants/{id}/product-change"): {"200", "404", "501"},
    ("post", "/tenants/{id}/exports"): {"202", "404", "409", "502", *BODY},
    ("get", "/tenants/{id}/exports"): {"200", "304", "404"},
    ("get", "/exports"): {"200", "304"},
    ("get", "/exports/{id}"): {"200", "404"},
    ("delete", "/exports/{id}"): {"200", "400", "404", "409"},
    ("get", "/exports/{id}/manifest"): {"200", "404", "409", "502"},
    ("get", "/exports/{id}/parts/{table}"): {"200", "206", "400", "404", "409", "416", "502"},
    ("get", "/exports/{id}/content"): {"200", "400", "404", "409", "502"},
    ("post", "/restores"): {"202", "404", "409", "502", *BODY},
    ("get", "/tenants/{id}/status"): {"200", "304", "404", "502"},
    ("delete", "/tenants/{id}"): {"202", "404", "409", "502", *BODY},
    ("get", "/operations"): {"200", "304"},
    ("get", "/operations/counts"): {"200", "304"},
    ("get", "/options"): {"200", "304"},
    ("get", "/operations/{id}"): {"200", "304", "404", "502"},
    ("get", "/operations/{id}/events"): {"200", "204", "404", "502"},
    ("patch", "/operations/{id}"): {"200", "404", "409", "502", *BODY},
    ("post", "/operations/{id}/resume"): {"202", "400", "404", "409", "502"},
    ("delete", "/operations/{id}"): {"202", "404", "409", "502", *BODY},
    ("post", "/api-keys"): {"201", "404", *BODY},
    ("get", "/api-keys"): {"200", "304", "400"},
    ("get", "/api-keys/{key_id}"): {"200", "400", "404"},
    ("delete", "/api-keys/{key_id}"): {"200", "400", "404"},
    ("post", "/api-keys/{key_id}/rotate"): {"201", "404", "409", *BODY},
    ("get", "/audit-events"): {"200", "304"},
    ("post", "/webhooks"): {"201", "409", *BODY},
    ("get", "/webhooks"): {"200", "304", "400"},
    ("get", "/webhooks/{id}"): {"200", "400", "404"},
    ("patch", "/webhooks/{id}"): {"200", "404", "409", *BODY},
    ("delete", "/webhooks/{id}"): {"204", "400", "404"},
    ("post", "/webhooks/{id}/rotate-secret"): {"200", "404", "409", *BODY},
    ("post", "/webhooks/{id}/test"): {"202", "400", "404"},
    ("get", "/webhooks/{id}/deliveries"): {"200", "304", "400", "404"},
    ("post", "/webhooks/{id}/replay"): {"202", "404", *BODY},
    ("post", "/webhooks/{id}/deliveries/{event_id}/replay"): {"202", "400", "404"},
    ("post", "/codec/decode"): {"200", "404", *BODY},
}
OPEN = {("get", path) for path in ("/livez", "/health", "/readyz", "/ready", "/startupz", "/metrics")}


@pytest.fixture(scope="module")
def document(settings: Settings) -> dict[str, Any]:
    return create_app(settings).openapi()


def operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method, path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_every_route_documents_its_statuses(document: dict[str, Any]) -> None:
    found = operations(document)
    assert found.keys() == KEYED.keys() | OPEN
    documented = {route: set(found[route]["responses"]) for route in KEYED}
    assert documented == {route: statuses | EVERYWHERE for route, statuses in KEYED.items()}


def test_one_path_template_has_one_name_for_its_parameter(document: dict[str, Any]) -> None:
    names: dict[str, set[str]] = {}
    for path in document["paths"]:
        for before, name in re.findall(r"(.*?)\{(\w+)\}", path):
            names.setdefault(before, set()).add(name)
    assert names == {
        "/tenants/": {"id"},
        "/operations/": {"id"},
        "/exports/": {"id"},
        "/parts/": {"table"},
        "/addons/": {"key"},
        "/api-keys/": {"key_id"},
        "/webhooks/": {"id"},
        "/deliveries/": {"event_id"},
    }
    for (_, path), operation in operations(document).items():
        declared = [parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "path"]
        assert sorted(declared) == sorted(re.findall(r"\{(\w+)\}", path)), path


def test_every_error_is_a_problem_document(document: dict[str, Any]) -> None:
    for route, operation in operations(document).items():
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                assert list(response["content"]) == ["application/problem+json"], (route, status)


def test_both_ways_of_sending_a_key_are_documented(document: dict[str, Any]) -> None:
    schemes = document["components"]["securitySchemes"]
    assert {(scheme["type"], scheme.get("scheme"), scheme.get("name")) for scheme in schemes.values()} == {
        ("http", "bearer", None),
        ("apiKey", None, "X-API-Key"),
    }
    for route, operation in operations(document).items():
        named = [list(alternative) for alternative in operation["security"]]
        assert named == ([[name] for name in schemes] if route in KEYED else []), route


def test_billing_plans_are_those_of_the_products_blueprint(document: dict[str, Any]) -> None:
    rule: dict[str, Any] | None = document["components"]["schemas"]["TenantRequest"]
    plans = {}
    while rule is not None:
        product = rule["if"]["properties"]["productCode"]["const"]
        plans[product] = rule["then"]["properties"]["billingPlan"]["enum"]
        rule = rule.get("else")
    assert "Managed Services" in plans["psa"]
    assert "Help Desk" in plans["algadesk"]
    assert all(None in names for names in plans.values())


def test_every_reference_has_a_schema(document: dict[str, Any]) -> None:
    names = set(re.findall(r"#/components/schemas/(\w+)", str(document)))
    assert names <= document["components"]["schemas"].keys()


def test_nothing_looks_like_a_secret(document: dict[str, Any]) -> None:
    assert not re.search(KEY_PATTERN, str(document))


def test_the_first_request_builds_no_validators(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    app = create_app(settings)
    built: list[Any] = []
    build = TypeAdapter.__init__

    def record(adapter: TypeAdapter[Any], *arguments: Any, **options: Any) -> None:
        built.append(arguments)
        build(adapter, *arguments, **options)

    monkeypatch.setattr(TypeAdapter, "__init__", record)
    scope = {"type": "http", "method": "POST", "path": "/tenants", "root_path": "", "headers": []}
    matches = [route.matches(dict(scope))[0].name for route in app.router.routes]
    assert "FULL" in matches
    assert not built


def test_each_operation_has_a_short_id(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for operation in operations(document).values()]
    assert len(set(ids)) == len(ids)
    assert [one for one in ids if not re.fullmatch("[a-z]+([A-Z][a-z]+)*", one)] == []
    assert operations(document)["post", "/tenants"]["operationId"] == "createTenant"


def test_each_operation_names_its_scopes(document: dict[str, Any]) -> None:
    for route, operation in operations(document).items():
        scopes = operation.get("x-required-scopes", [])
        assert bool(scopes) == (route in KEYED), route
        assert all(f"`{scope}`" in operation["description"] for scope in scopes), route
    assert operations(document)["post", "/tenants"]["x-required-scopes"] == ["tenants:create"]


def test_each_body_has_an_example_that_its_model_accepts(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    models = {model.__name__: model for model in subclasses(BaseModel)}
    checked = 0
    for route, operation in operations(document).items():
        if "requestBody" in operation:
            (content,) = operation["requestBody"]["content"].values()
            (name,) = re.findall(r"#/components/schemas/(\w+)", str(content["schema"]))
            models[name].model_validate(content["example"])
            assert "example" not in schemas[name], route
            checked += 1
    assert checked > 15


def test_fields_with_defaults_are_optional_in_generated_types(document: dict[str, Any]) -> None:
    """Generators require each field that has a default."""
    schemas = document["components"]["schemas"]
    request = schemas["TenantRequest"]
    assert request["required"] == ["tenantName", "adminUser"]
    assert "default" not in str(request["properties"]["productCode"].keys())
    assert request["properties"]["productCode"]["description"].endswith('default: `"psa"`.')
    for route, operation in operations(document).items():
        for name in re.findall(r"#/components/schemas/(\w+)", str(operation.get("requestBody"))):
            fields = schemas[name].get("properties", {}).values()
            assert not [field for field in fields if "default" in field or "writeOnly" in field], (route, name)


def test_every_schema_is_used_and_has_the_name_of_one_model(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert set(re.findall(r"#/components/schemas/(\w+)", str(document))) == schemas.keys()
    assert [name for name in schemas if not re.fullmatch("([A-Z][a-z0-9]+)+", name)] == []
    assert [name for name in schemas if name.endswith(("Input", "Output"))] == []


def test_every_tag_is_described(document: dict[str, Any]) -> None:
    used = {tag for operation in operations(document).values() for tag in operation["tags"]} | {"events"}
    assert used == {tag["name"] for tag in document["tags"] if tag["description"]}


def test_servers_are_the_public_address_and_the_gateway_that_is_asked(
    document: dict[str, Any], settings: Settings
) -> None:
    assert [server["url"] for server in document["servers"]] == ["/"]
    public = settings.model_copy(update={"public_url": "https://tenants.example.com/"})
    urls = [server["url"] for server in create_app(public).openapi()["servers"]]
    assert urls == ["https://tenants.example.com", "/"]


def subclasses(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for subclass in model.__subclasses__():
        yield subclass
        yield from subclasses(subclass)
