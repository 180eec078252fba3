import re
from typing import Any

import pytest

from activities.alga.across_tenants import find_conflicts
from activities.alga.tables import TENANT, alga_metadata
from activities.tenants.provisioning import ProvisioningActivities
from tests.activities.conftest import provision_input
from workflows.tenants.request import TenantCreationInput

pytestmark = pytest.mark.anyio

Statements = list[tuple[str, Any]]


@pytest.fixture
async def sent(
    provisioning: ProvisioningActivities, tenant_request: TenantCreationInput, statements: Statements
) -> Statements:
    """The statements of a whole creation."""
    await provisioning.provision_tenant(provision_input(tenant_request))
    assert len(statements) > 20
    return statements


async def test_every_statement_on_a_tenants_table_names_the_tenant(sent: Statements) -> None:
    scoped = {table.name for table in alga_metadata.tables.values() if TENANT in table.columns}
    for statement, _ in sent:
        if scoped & set(re.findall(r"(?:FROM|INTO|UPDATE|JOIN) (\w+)", statement)):
            assert re.search(r"\btenant\b", statement), f"{statement} is not one of {find_conflicts.__module__}"


async def test_no_statement_binds_an_array_or_names_a_row_type(sent: Statements) -> None:
    for statement, parameters in sent:
        assert not any(isinstance(value, list | tuple | set) for value in parameters), statement
        assert "populate_record" not in statement
        assert not re.search(r"::\w+\[\]", statement)


async def test_no_conflict_target_is_named_on_algas_tables(sent: Statements) -> None:
    for statement, _ in sent:
        if "alga_tenants." not in statement:
            assert not re.search(r"ON CONFLICT (\(|ON CONSTRAINT)", statement), statement
