"""Collects the values that requests can have, from where they are defined."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import get_args

from activities.alga.blueprints.blueprint import Blueprint
from activities.entitlements.addons import ADDONS
from activities.export.rows import ExportState
from activities.tenants.request import TenantRequest
from activities.webhooks.event_types import EVENT_TYPES, TEST, groups
from app.auth.scopes import DEFAULT_SCOPES, MEANINGS, Scope
from app.gateway.directory.schemas import TenantState
from app.gateway.options.schemas import (
    KindOption,
    Option,
    OptionsDocument,
    ProductOption,
    ScopeOption,
    StatusOption,
)
from workflows.operations.kinds import KINDS
from workflows.operations.statuses import OperationStatus
from workflows.tenants.request import BillingSource, EmailProvider, Plan

STATES: Mapping[TenantState, str] = MappingProxyType(
    {
        TenantState.ACTIVE: "Its users can sign in.",
        TenantState.SUSPENDED: "Its users can't sign in.",
        TenantState.DELETION_SCHEDULED: "Its deletion waits for a confirmation or a date, and can be undone.",
        TenantState.DELETING: "Its rows are being deleted.",
        TenantState.DELETED: "Its rows are deleted.",
    }
)
STATUSES: Mapping[OperationStatus, str] = MappingProxyType(
    {
        OperationStatus.QUEUED: "Accepted; no worker has begun.",
        OperationStatus.RUNNING: "In progress.",
        OperationStatus.RETRYING: "A step failed with a transient error and will be repeated.",
        OperationStatus.NEEDS_ATTENTION: "An error lasts, and an operator has to resume or cancel the operation.",
        OperationStatus.AWAITING_CONFIRMATION: "A person has to confirm the operation.",
        OperationStatus.WAITING: "The operation waits for a date.",
        OperationStatus.CANCELLING: "A cancel was accepted.",
        OperationStatus.ROLLING_BACK: "What the operation did is being undone.",
        OperationStatus.COMPLETED: "Done.",
        OperationStatus.CANCELLED: "Ended by a cancel, with nothing written or everything undone.",
        OperationStatus.FAILED: "Ended by an error, with nothing written or everything undone.",
    }
)
EXPORT_STATES: Mapping[ExportState, str] = MappingProxyType(
    {
        ExportState.RUNNING: "The archive is being written.",
        ExportState.COMPLETED: "The archive can be fetched and restored.",
        ExportState.FAILED: "The export has ended with an error, and has no archive.",
        ExportState.CANCELLED: "The export was cancelled, and has no archive.",
        ExportState.EXPIRED: "The archive has expired or was removed.",
    }
)
WAITING_FOR_PERSON = (OperationStatus.NEEDS_ATTENTION, OperationStatus.AWAITING_CONFIRMATION)


class Options:
    """The values that requests can have. They stay the same as long as the process runs."""

    def __init__(self, blueprints: Mapping[str, Blueprint]) -> None:
        self.document = OptionsDocument(
            products=tuple(_products(blueprints)),
            plans=get_args(Plan),
            addons=_described(ADDONS),
            billing_sources=get_args(BillingSource),
            email_providers=get_args(EmailProvider),
            tenant_states=_described(STATES),
            operation_kinds=tuple(_kinds()),
            operation_statuses=tuple(_statuses()),
            export_states=_described(EXPORT_STATES),
            event_types=_described({name: text for name, text in EVENT_TYPES.items() if name != TEST}),
            event_groups=groups(),
            scopes=tuple(
                ScopeOption(name=scope, description=MEANINGS[scope], is_default=scope in DEFAULT_SCOPES)
                for scope in Scope
            ),
        )


def _products(blueprints: Mapping[str, Blueprint]) -> Iterator[ProductOption]:
    default = TenantRequest.model_fields["product_code"].default
    for code, blueprint in blueprints.items():
        yield ProductOption(
            product_code=code, is_default=code == default, billing_plans=blueprint.contract_line_names
        )


def _kinds() -> Iterator[KindOption]:
    for kind in KINDS.values():
        yield KindOption(
            name=kind.name,
            steps=tuple(step.name for step in kind.steps),
            parameters=kind.parameters,
            cancel_scope=kind.cancel_scope,
            manage_scope=kind.manage_scope,
        )


def _statuses() -> Iterator[StatusOption]:
    for status in OperationStatus:
        yield StatusOption(
            name=status,
            description=STATUSES[status],
            is_final=not status.is_open,
            needs_person=status in WAITING_FOR_PERSON,
        )


def _described(
    meanings: Mapping[str, str] | Mapping[TenantState, str] | Mapping[ExportState, str],
) -> tuple[Option, ...]:
    return tuple(Option(name=str(name), description=text) for name, text in meanings.items())
