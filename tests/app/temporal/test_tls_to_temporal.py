"""TLS as our one client makes it, towards a proxy that ends it in front of a real Temporal.

The development server speaks no TLS.
"""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.doctor import examine
from app.embedded.temporal import EmbeddedTemporal
from app.settings import Settings
from app.temporal.client import connect
from tests.support.certificates import Authority, Pair
from tests.support.servers.proxy import Proxy
from tests.support.telemetry.hpack import huffman

pytestmark = pytest.mark.anyio

URL = SecretStr("postgresql://nobody@127.0.0.1:1/nowhere")
API_KEY = "ace-of-hearts"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")


class Frontend:
    """A Temporal that is reached by TLS only; shows a certificate for one name."""

    def __init__(self, proxy: Proxy, said: bytearray) -> None:
        self.address = f"localhost:{proxy.port}"
        self.said = said


@asynccontextmanager
async def frontend(
    temporal: EmbeddedTemporal, shown: Pair, *, clients: Authority | None = None
) -> AsyncIterator[Frontend]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=clients.file if clients else None)
    context.load_cert_chain(shown.certificate, shown.key)
    context.set_alpn_protocols(["h2"])
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    said = bytearray()
    port = int(temporal.address.rpartition(":")[2])
    async with Proxy(port, tls=context, overhear=said.extend) as proxy:
        yield Frontend(proxy, said)


def settings_for(frontend: Frontend, **given: Path | str | bool) -> Settings:
    """`given` are settings of Temporal's without their common beginning."""
    address = {"temporal_address": frontend.address, "temporal_rpc_timeout": 2.0}
    required = {"database_url": URL, "admin_database_url": URL, "nextauth_secret": "a-long-and-serious-secret"}
    own = {f"temporal_{name}": value for name, value in given.items()}
    return Settings.model_validate(required | address | own)


async def serves(settings: Settings) -> bool:
    client = await connect(settings)
    return await client.service_client.check_health()


async def test_a_certificate_of_a_trusted_authority_for_the_host_is_accepted(
    temporal: EmbeddedTemporal, authority: Authority
) -> None:
    async with frontend(temporal, authority.issue("localhost")) as server:
        assert await serves(settings_for(server, tls_ca_file=authority.file))


@pytest.mark.parametrize("trusted", ["stranger", "system"])
async def test_a_certificate_of_an_unknown_authority_is_refused(
    temporal: EmbeddedTemporal, authority: Authority, stranger: Authority, trusted: str
) -> None:
    async with frontend(temporal, authority.issue("localhost")) as server:
        given = {"tls_ca_file": stranger.file} if trusted == "stranger" else {}
        with pytest.raises(RuntimeError, match="UnknownIssuer"):
            await serves(settings_for(server, tls=True, **given))


async def test_a_certificate_for_another_name_is_refused_unless_that_name_is_set(
    temporal: EmbeddedTemporal, authority: Authority
) -> None:
    async with frontend(temporal, authority.issue("temporal.example")) as server:
        with pytest.raises(RuntimeError, match="NotValidForName"):
            await serves(settings_for(server, tls_ca_file=authority.file))
        assert await serves(settings_for(server, tls_ca_file=authority.file, tls_server_name="temporal.example"))


async def test_a_configured_client_certificate_is_presented(
    temporal: EmbeddedTemporal, authority: Authority, stranger: Authority
) -> None:
    ours, strange = authority.issue("worker.example"), stranger.issue("worker.example")
    async with frontend(temporal, authority.issue("localhost"), clients=authority) as server:
        trusting = {"tls_ca_file": authority.file}
        shown = {"tls_cert_file": ours.certificate, "tls_key_file": ours.key}
        assert await serves(settings_for(server, **trusting, **shown))
        with pytest.raises(RuntimeError):
            await serves(settings_for(server, **trusting))
        with pytest.raises(RuntimeError):
            await serves(
                settings_for(server, **trusting, tls_cert_file=strange.certificate, tls_key_file=strange.key)
            )


async def test_plain_text_and_tls_do_not_mix(temporal: EmbeddedTemporal, authority: Authority) -> None:
    async with frontend(temporal, authority.issue("localhost")) as server:
        with pytest.raises(RuntimeError):
            await serves(settings_for(server, tls=False))
        server.address = temporal.address
        with pytest.raises(RuntimeError):
            await serves(settings_for(server, tls_ca_file=authority.file))


async def test_the_api_key_arrives_as_a_bearer_token(temporal: EmbeddedTemporal, authority: Authority) -> None:
    async with frontend(temporal, authority.issue("localhost")) as server:
        assert await serves(settings_for(server, tls_ca_file=authority.file))
        assert huffman(f"Bearer {API_KEY}") not in server.said
        assert await serves(settings_for(server, tls_ca_file=authority.file, api_key=API_KEY))
        assert huffman(f"Bearer {API_KEY}") in server.said


async def test_the_api_key_is_not_sent_in_plain_text(temporal: EmbeddedTemporal) -> None:
    said = bytearray()
    async with Proxy(int(temporal.address.rpartition(":")[2]), overhear=said.extend) as proxy:
        with pytest.raises(RuntimeError):
            await serves(settings_for(Frontend(proxy, said), api_key=API_KEY))
    assert said
    assert API_KEY.encode() not in said
    assert huffman(f"Bearer {API_KEY}") not in said


async def test_the_doctor_connects_with_tls(temporal: EmbeddedTemporal, authority: Authority) -> None:
    async with frontend(temporal, authority.issue("localhost")) as server:
        found = [finding async for finding in examine(settings_for(server, tls_ca_file=authority.file))]
        lost = [finding async for finding in examine(settings_for(server, tls=True))]
    assert [finding.level for finding in found if finding.subject == "Temporal"] == ["ok"]
    (finding,) = (finding for finding in lost if finding.subject == "Temporal")
    assert finding.level == "error"
    assert "certificate is refused (UnknownIssuer)" in finding.problem
