"""What the gateway is made of: everything that lives as long as the process."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from activities.alga.blueprints.blueprint import Blueprint
from app.audit.queue import Denials
from app.audit.recorder import Auditing
from app.audit.trail import audit_trail
from app.auth.authenticator import Authenticator
from app.auth.keys.api_keys import ApiKeys
from app.auth.keys.management import KeyManagement
from app.auth.keys.signing import api_key_signer
from app.auth.oidc.key_cache import ProviderKeys
from app.auth.oidc.provider import OpenIdProvider
from app.auth.oidc.tokens import TokenVerifier
from app.background import stopped
from app.crypto.derived_keys import derive_key
from app.database import gateway_engine
from app.gateway.access.rate_limits import RateLimits
from app.gateway.audit.listing import AuditListing
from app.gateway.codec.decoding import Decoding
from app.gateway.operations.cancellation import Cancellation
from app.gateway.operations.continuation import Continuation
from app.gateway.operations.listing import Listing
from app.gateway.operations.statuses import Statuses
from app.gateway.readiness import Readiness
from app.gateway.tenants.creation import TenantCreation
from app.gateway.tenants.directory import Directory
from app.settings import Settings
from app.telemetry.metrics.pools import watch_pool
from app.telemetry.metrics.requests import watch_verifications
from app.telemetry.metrics.temporal_core import drain_regularly
from app.temporal.client import connect
from app.temporal.encryption import EncryptionCodec
from app.temporal.operations import OperationsPort

# The purpose of the key of request fingerprints.
FINGERPRINTS = "request fingerprints"


@asynccontextmanager
async def open_services(
    settings: Settings, blueprints: Mapping[str, Blueprint]
) -> AsyncIterator[Mapping[type, object]]:
    """Open the services of a gateway, by their type. Needs neither the database nor Temporal to start."""
    async with AsyncExitStack() as stack:
        engine = gateway_engine(settings)
        stack.push_async_callback(engine.dispose)
        watch_pool("gateway", engine)
        keys = ApiKeys(engine, api_key_signer(settings))
        watch_verifications(lambda: keys.verifications_waiting)
        stack.callback(keys.close)
        rate_limits = RateLimits(settings)
        stack.push_async_callback(rate_limits.close)
        stack.push_async_callback(stopped, asyncio.create_task(drain_regularly()))
        audit = audit_trail(settings)
        denials = await stack.enter_async_context(Denials(engine, audit))
        auditing = Auditing(engine, audit, denials)
        operations = OperationsPort(await connect(settings, lazy=True), settings)
        statuses = Statuses(engine, operations, audit)
        decoding = Decoding(EncryptionCodec(settings.key_ring), auditing)
        stack.callback(decoding.close)
        creation = TenantCreation(
            engine,
            operations,
            statuses,
            blueprints,
            password_hasher=settings.password_hasher,
            audit=audit,
            fingerprint_key=derive_key(settings.nextauth_secret.get_secret_value(), FINGERPRINTS),
            rate_limits=rate_limits,
        )
        services = (
            settings,
            Authenticator(keys, await _token_verifier(settings, stack)),
            rate_limits,
            denials,
            KeyManagement(engine, keys, audit),
            creation,
            statuses,
            Cancellation(engine, operations, statuses, auditing),
            Continuation(operations, statuses, blueprints, auditing),
            Listing(engine),
            Directory(engine),
            AuditListing(engine),
            decoding,
            Readiness(engine, operations),
        )
        yield {type(service): service for service in services}


async def _token_verifier(settings: Settings, stack: AsyncExitStack) -> TokenVerifier | None:
    """The verifier of the OpenID provider's tokens; none where there is no provider. Does not wait for it."""
    provider = OpenIdProvider.of(settings)
    if provider is None:
        return None
    return TokenVerifier.of(settings, provider.issuer, await stack.enter_async_context(ProviderKeys(provider)))
