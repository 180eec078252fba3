"""Composition root: builds the objects that live as long as the gateway process."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from activities.alga.blueprints.blueprint import Blueprint
from app.audit.buffer import AuditEventBuffer
from app.audit.certificates import certificate_signer
from app.audit.recorder import AuditRecorder, audit_trail
from app.auth.authenticator import Authenticator
from app.auth.keys.api_keys import ApiKeys
from app.auth.keys.management import KeyManagement
from app.auth.keys.signing import api_key_signer
from app.auth.oidc.key_cache import ProviderKeys
from app.auth.oidc.provider import OpenIdProvider
from app.auth.oidc.sign_in import ProviderSignIn
from app.auth.oidc.tokens import TokenVerifier
from app.auth.sessions.links import SignInLinks
from app.auth.sessions.sessions import Sessions
from app.background import cancel_and_wait
from app.crypto.derived_keys import derive_key
from app.database import footprint_engine, gateway_engine
from app.gateway.access.rate_limits import RateLimits
from app.gateway.audit.listing import AuditListing
from app.gateway.codec.decoding import Decoding
from app.gateway.console.operations.completed_pages import CompletedPages
from app.gateway.console.overview.overview import Overview
from app.gateway.deletions.deletion import Deletions
from app.gateway.directory.changes import TenantChanges
from app.gateway.directory.footprint import Footprints
from app.gateway.directory.listing import TenantListing
from app.gateway.directory.lookup import TenantLookup
from app.gateway.directory.users import UserListing
from app.gateway.entitlements.entitlements import Entitlements
from app.gateway.exports.archives import Archives
from app.gateway.exports.content import ExportContent
from app.gateway.exports.exports import Exports
from app.gateway.exports.restores import Restores
from app.gateway.operations.cancellation import OperationCancellation
from app.gateway.operations.listing import Listing
from app.gateway.operations.lookup import OperationLookup
from app.gateway.operations.starting import OperationStarts
from app.gateway.operations.updates import OperationUpdates
from app.gateway.options.options import Options
from app.gateway.product_changes.product_change import ProductChanges
from app.gateway.readiness import Readiness
from app.gateway.tenants.access import WelcomeEmails
from app.gateway.tenants.creation import TenantCreation
from app.gateway.tenants.idempotency import IdempotentRequests
from app.gateway.tenants.suspension import Suspensions
from app.gateway.webhooks.deliveries import DeliveryListing
from app.gateway.webhooks.webhooks import Webhooks
from app.settings import Settings
from app.telemetry.metrics.pools import watch_pool
from app.telemetry.metrics.requests import watch_verifications
from app.telemetry.metrics.temporal_core import drain_regularly
from app.temporal.client import connect, rpc_timeout
from app.temporal.encryption import EncryptionCodec
from app.temporal.operations import TemporalOperations
from app.temporal.task_queue import TaskQueue
from app.temporal.tenant_resources import TenantResources
from app.webhooks import secret_box, url_guard

# The purpose of the derived key of request fingerprints.
FINGERPRINTS = "request fingerprints"


@asynccontextmanager
async def open_services(
    settings: Settings, blueprints: Mapping[str, Blueprint]
) -> AsyncIterator[Mapping[type, object]]:
    """Open the services of a gateway, by their type. Neither the database nor Temporal has to be available."""
    async with AsyncExitStack() as stack:
        engine = gateway_engine(settings)
        stack.push_async_callback(engine.dispose)
        watch_pool("gateway", engine)
        counting = footprint_engine(settings)
        stack.push_async_callback(counting.dispose)
        keys = ApiKeys(engine, api_key_signer(settings))
        watch_verifications(lambda: keys.hashes.waiting)
        stack.callback(keys.close)
        provider, tokens, provider_sign_in = OpenIdProvider.of(settings), None, None
        if provider is not None:
            key_cache = await stack.enter_async_context(ProviderKeys(provider))
            tokens = TokenVerifier(settings, provider.issuer, key_cache)
            if settings.oidc_client_id is not None:
                provider_sign_in = ProviderSignIn(settings, provider, tokens, settings.oidc_client_id)
        rate_limits = RateLimits(settings)
        stack.push_async_callback(rate_limits.close)
        stack.push_async_callback(cancel_and_wait, asyncio.create_task(drain_regularly()))
        audit = audit_trail(settings)
        audit_buffer = await stack.enter_async_context(AuditEventBuffer(engine, audit))
        recorder = AuditRecorder(engine, audit, audit_buffer)
        temporal = await connect(settings, lazy=True)
        operations = TemporalOperations(temporal, settings)
        lookup = OperationLookup(engine, operations, audit)
        decoding = Decoding(EncryptionCodec(settings.key_ring), recorder)
        stack.callback(decoding.close)
        # Half of the pool is left to other requests.
        max_connections = max(1, settings.database_pool_size // 2)
        starts = OperationStarts(engine, operations, lookup, audit, max_connections=max_connections)
        creation = TenantCreation(
            engine,
            operations,
            lookup,
            blueprints,
            IdempotentRequests(engine, derive_key(settings.nextauth_secret.get_secret_value(), FINGERPRINTS)),
            settings.password_hasher,
            starts,
            rate_limits,
            settings.master_billing_tenant_id,
        )
        tenants = TenantLookup(engine, lookup)
        changes = TenantChanges(starts, lookup, tenants)
        archives = Archives(settings, engine)
        cancellation = OperationCancellation(engine, operations, lookup, recorder)
        readiness = Readiness(engine, operations, TaskQueue(temporal, settings))
        services = (
            settings,
            Authenticator(keys, tokens),
            keys,
            Sessions(settings.nextauth_secret.get_secret_value(), keys, settings.console_session),
            CompletedPages(),
            SignInLinks(settings.nextauth_secret.get_secret_value(), engine),
            rate_limits,
            audit_buffer,
            KeyManagement(engine, keys, audit),
            creation,
            lookup,
            cancellation,
            OperationUpdates(operations, lookup, blueprints, recorder),
            Listing(engine),
            TenantListing(engine),
            tenants,
            UserListing(engine, tenants),
            Footprints(counting, tenants, TenantResources(temporal, rpc_timeout(settings))),
            WelcomeEmails(engine, starts, lookup, tenants),
            Suspensions(settings, engine, tenants, changes),
            ProductChanges(settings, engine, blueprints, tenants, changes),
            Entitlements(tenants, changes),
            Deletions(
                settings,
                engine,
                operations,
                lookup,
                tenants,
                starts,
                cancellation,
                audit,
                certificate_signer(settings),
            ),
            Exports(engine, tenants, starts, archives, audit),
            ExportContent(archives, recorder),
            Restores(settings, starts, archives),
            Webhooks(engine, secret_box(settings), url_guard(settings), audit),
            DeliveryListing(engine),
            AuditListing(engine),
            Options(blueprints),
            decoding,
            readiness,
            Overview(engine, readiness, lookup),
        )
        yield {type(service): service for service in (*services, provider_sign_in) if service is not None}
