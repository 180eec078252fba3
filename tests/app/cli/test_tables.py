"""Tables on terminals of all widths show whole ids, because people copy them."""

import io
from typing import Any

import pytest
from rich.console import Console

from app.cli.rendering.exports import print_exports
from app.cli.rendering.operations import print_operations
from app.cli.rendering.tenants import print_tenants, print_users, show_footprint
from app.cli.rendering.webhooks import print_deliveries, print_webhooks
from app.client import Delivery, Export, Footprint, OperationSummary, Tenant, User, Webhook
from tests.app.client.archive import EXPORT_ID, export
from tests.app.client.scripted_server import RESULT, TENANT_ID, WORKFLOW_ID, footprint, summary, tenant, user
from tests.app.client.webhook_documents import EVENT_ID, WEBHOOK_ID, delivery, failed_attempt, webhook

OPERATIONS = [
    summary("completed"),
    summary("awaiting_confirmation", tenantName="A name that is as long as names of companies can be, and longer"),
    summary("needs_attention", tenantName="Bravo"),
]
TENANTS = [tenant(), tenant(name="A name that is as long as names of companies can be", state="deletion_scheduled")]

EXPORTS = [export(), export(state="cancelled", tenantName="A name that is as long as names of companies can be")]

WEBHOOKS = [
    webhook(),
    webhook(url=f"https://example.com/{'x' * 300}", eventTypes=["operation.awaiting_confirmation"]),
]
FAILED = [failed_attempt(number) for number in range(1, 11)]
DELIVERIES = [
    delivery(),
    delivery(type="operation.awaiting_confirmation", attempts=FAILED, nextTryAt="2026-01-31T14:00:00Z"),
]


def printed(width: int, show: Any, documents: Any) -> list[str]:
    console = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=width, highlight=False)
    show(console, documents)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert all(len(line) <= width for line in lines)
    return lines


@pytest.mark.parametrize("width", [72, 80, 120, 200])
def test_no_id_is_cut_on_a_terminal(width: int) -> None:
    operations = printed(width, print_operations, map(OperationSummary.model_validate, OPERATIONS))
    assert sum(WORKFLOW_ID in line for line in operations) == len(OPERATIONS)
    tenants = printed(width, print_tenants, map(Tenant.model_validate, TENANTS))
    assert sum(TENANT_ID in line for line in tenants) == len(TENANTS)
    exports = printed(width, print_exports, map(Export.model_validate, EXPORTS))
    assert sum(EXPORT_ID in line for line in exports) == len(EXPORTS)
    webhooks = printed(width, print_webhooks, map(Webhook.model_validate, WEBHOOKS))
    assert sum(WEBHOOK_ID in line for line in webhooks) == len(WEBHOOKS)
    deliveries = printed(width, print_deliveries, map(Delivery.model_validate, DELIVERIES))
    assert sum(EVENT_ID in line for line in deliveries) == len(DELIVERIES)
    users = printed(width, print_users, [User.model_validate(user(email=f"{'x' * 60}@acme.example"))])
    assert sum(RESULT["adminUserId"] in line for line in users) == 1


def test_an_id_longer_than_the_terminal_is_folded() -> None:
    long_id = "#" * 150
    lines = printed(80, print_operations, [OperationSummary.model_validate(summary(workflowId=long_id))])
    assert "".join(lines).count("#") == len(long_id)


def test_an_empty_table_has_its_header() -> None:
    titles = ["tenant", "status", "step", "started", "took", "workflow", "id", "error"]
    assert printed(80, print_operations, [])[0].split() == titles
    assert printed(80, print_users, [])[0].split()[0] == "e-mail"


def test_long_lines_of_a_footprint_are_wrapped_on_a_terminal() -> None:
    document = footprint()
    document["external"][0]["names"] = [f"domain-{number}.example" for number in range(20)]
    lines = printed(60, show_footprint, Footprint.model_validate(document))
    assert sum(line.count("domain-") for line in lines) == 20
    assert max(map(len, lines)) <= 60
