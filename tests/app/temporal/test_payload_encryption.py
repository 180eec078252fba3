import base64
import itertools
import json
import os

import pytest
from pydantic import SecretStr
from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    ActivitySerializationContext,
    DataConverter,
    SerializationContext,
    WorkflowSerializationContext,
)

from app.crypto.payload_keys import KeyRing, parse_payload_keys
from app.settings import HistorySettings, Settings, SettingsError
from app.temporal.conversion import DATA_CONVERTER
from app.temporal.encryption import KEY_ID, EncryptionCodec, ForgedPayloadError, PayloadError, Role
from app.temporal.foreign_payloads import ENCODING
from workflows.operations.messages import OperationSnapshot

pytestmark = pytest.mark.anyio

SECRET = "the secret of an installation"
# Always the same, because names of tests are made of it.
A_KEY = base64.b64encode(bytes(range(32))).decode()
A_KEY_IN_HEX = bytes(range(32)).hex()
PLAIN = Payload(metadata={"encoding": b"json/plain"}, data=b'{"email": "ada@acme.example"}')
OURS = "tenant-creation-1b4e28ba-2fa1-41d2-883f-0016d3cca427"
THEIRS = "tenant-creation-1764000000000-4f1c2a"


def key() -> str:
    return base64.b64encode(os.urandom(32)).decode()


def codec(given: str | None = None, secret: str | None = SECRET, *, is_worker: bool = False) -> EncryptionCodec:
    return EncryptionCodec(KeyRing.of(given, secret), Role.WORKER if is_worker else Role.CLIENT)


def memo() -> Payload:
    return DATA_CONVERTER.payload_converter.to_payload(OperationSnapshot(kind="tenant_creation", tenant_name="Acme"))


async def encrypted(by: EncryptionCodec, payload: Payload = PLAIN) -> Payload:
    (sealed,) = await by.encode([payload])
    return sealed


async def test_a_payload_survives_encryption_and_decryption() -> None:
    sealed = await encrypted(codec())
    assert b"acme" not in sealed.SerializeToString()
    assert await codec().decode([sealed]) == [PLAIN]


async def test_equal_payloads_have_different_ciphertexts() -> None:
    assert (await encrypted(codec())).data != (await encrypted(codec())).data


async def test_plain_payloads_pass() -> None:
    assert await codec().decode([PLAIN, Payload()]) == [PLAIN, Payload()]


async def test_a_change_of_any_bit_is_refused_without_showing_the_payload() -> None:
    sealed = await encrypted(codec())
    data = sealed.data
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        sealed.data = bytes(changed)
        with pytest.raises(PayloadError, match="was changed or cut short") as caught:
            await codec().decode([sealed])
        assert "acme" not in str(caught.value)


async def test_a_change_of_any_bit_of_the_keys_id_is_refused() -> None:
    ring = codec(f"one:{key()}")
    sealed = await encrypted(ring)
    for bit in range(8 * len(b"one")):
        changed = bytearray(b"one")
        changed[bit // 8] ^= 1 << bit % 8
        sealed.metadata[KEY_ID] = bytes(changed)
        with pytest.raises(PayloadError, match="is not known here"):
            await ring.decode([sealed])


async def test_an_encrypted_memo_is_a_json_string_for_other_clients() -> None:
    sealed = await encrypted(codec(), memo())
    [default] = await DataConverter.default.decode([sealed])
    assert isinstance(default, str)
    assert b"Acme" not in sealed.SerializeToString() + base64.b64decode(default)
    assert await codec().decode([sealed]) == [memo()]


async def test_a_change_of_any_bit_of_a_memo_is_refused_or_changes_nothing() -> None:
    """The last bits of base64 may stand for nothing."""
    sealed = await encrypted(codec(), memo())
    data, accepted = sealed.data, 0
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        sealed.data = bytes(changed)
        try:
            assert await codec().decode([sealed]) == [memo()]
            accepted += 1
        except ForgedPayloadError as error:
            assert "Acme" not in str(error)  # noqa: PT017 - most changes raise it, not all
    assert accepted < 8


@pytest.mark.parametrize(
    "data", [b"", b"{nope", b"null", b"5", b'["a"]', b'"not base64!"', b'"\xc3\xa4"', b'"\xff"', b'""', b'"AAAA"']
)
async def test_a_memo_that_is_no_ciphertext_is_refused(data: bytes) -> None:
    sealed = await encrypted(codec(), memo())
    sealed.data = data
    with pytest.raises(ForgedPayloadError, match="was changed or cut short"):
        await codec().decode([sealed])


async def test_a_memo_of_another_workflow_is_refused() -> None:
    context = WorkflowSerializationContext("default", THEIRS)
    sealed = await encrypted(codec().with_context(context), memo())
    assert await codec().with_context(context).decode([sealed]) == [memo()]
    with pytest.raises(ForgedPayloadError, match="belongs to another workflow"):
        await codec().with_context(WorkflowSerializationContext("default", OURS)).decode([sealed])


async def test_a_memo_in_the_earlier_form_can_be_read() -> None:
    sealed = await encrypted(codec(), memo())
    sealed.data = base64.b64decode(json.loads(sealed.data))
    sealed.metadata[ENCODING] = b"binary/encrypted"
    assert await codec().decode([sealed]) == [memo()]


@pytest.mark.parametrize("encoding", [b"json/plain", b"binary/plain", b"binary/null", b"json/protobuf", b"", None])
async def test_an_encrypted_payload_with_another_encoding_is_refused(encoding: bytes | None) -> None:
    """A key's id marks what is encrypted. Otherwise a change of the encoding would make ciphertext a value."""
    sealed = await encrypted(codec())
    if encoding is None:
        del sealed.metadata[ENCODING]
    else:
        sealed.metadata[ENCODING] = encoding
    with pytest.raises(ForgedPayloadError, match="was changed or cut short"):
        await codec().decode([sealed])


async def test_added_metadata_is_ignored() -> None:
    sealed = await encrypted(codec())
    sealed.metadata["messageType"] = b"something.Else"
    assert await codec().decode([sealed]) == [PLAIN]


@pytest.mark.parametrize("length", [0, 1, 12, 27, 40])
async def test_a_truncated_payload_is_refused(length: int) -> None:
    sealed = await encrypted(codec())
    sealed.data = sealed.data[:length]
    with pytest.raises(PayloadError, match="was changed or cut short"):
        await codec().decode([sealed])


async def test_a_payload_under_another_keys_id_is_refused() -> None:
    """Even where both ids stand for one key, because the id is bound to what it encrypts."""
    same = key()
    ring = codec(f"one:{same},two:{same}")
    sealed = await encrypted(ring)
    assert sealed.metadata[KEY_ID] == b"one"
    sealed.metadata[KEY_ID] = b"two"
    with pytest.raises(PayloadError, match="'two' was changed"):
        await ring.decode([sealed])


async def test_an_unknown_key_is_named_with_its_setting() -> None:
    sealed = await encrypted(codec(f"2026-11:{key()}"))
    with pytest.raises(PayloadError, match=r"key '2026-11', which is not known here .*PAYLOAD_KEYS"):
        await codec().decode([sealed])


async def test_another_secret_is_an_unknown_key() -> None:
    with pytest.raises(PayloadError, match="key 'derived-"):
        await codec(secret="another one").decode([await encrypted(codec())])


async def test_keys_are_rotated_in_three_steps_without_an_outage() -> None:
    old, new = f"old:{key()}", f"new:{key()}"
    steps = [codec(old), codec(f"{old},{new}"), codec(f"{new},{old}"), codec(new)]
    for before, after in itertools.pairwise(steps):
        # While a step is rolled out, processes of both sides read each other.
        assert await after.decode([await encrypted(before)]) == [PLAIN]
        assert await before.decode([await encrypted(after)]) == [PLAIN]
    assert (await encrypted(steps[1])).metadata[KEY_ID] == b"old"
    assert (await encrypted(steps[2])).metadata[KEY_ID] == b"new"


async def test_plaintext_payloads_from_before_encryption_can_be_read() -> None:
    assert await codec(f"first:{key()}").decode([await encrypted(codec())]) == [PLAIN]


async def test_nothing_is_sent_without_a_key() -> None:
    with pytest.raises(PayloadError, match="PAYLOAD_KEYS or NEXTAUTH_SECRET"):
        await codec(secret=None).encode([PLAIN])


@pytest.mark.parametrize(
    ("is_worker", "context", "is_readable"),
    [
        (True, WorkflowSerializationContext("default", THEIRS), True),
        (True, WorkflowSerializationContext("default", OURS), False),
        (False, WorkflowSerializationContext("default", THEIRS), False),
        (
            True,
            ActivitySerializationContext(
                namespace="default",
                activity_id="1",
                activity_type="roll_back_tenant",
                activity_task_queue="q",
                workflow_id=THEIRS,
                workflow_type="tenantCreationWorkflow",
                is_local=False,
            ),
            False,
        ),
    ],
)
async def test_only_results_for_clients_that_chose_the_workflow_id_are_plaintext(
    context: SerializationContext, *, is_worker: bool, is_readable: bool
) -> None:
    sealed = await encrypted(codec(is_worker=is_worker).with_context(context))
    assert (sealed == PLAIN) is is_readable


async def test_a_memo_is_encrypted_whoever_chose_the_workflow_id() -> None:
    theirs = codec(is_worker=True).with_context(WorkflowSerializationContext("default", THEIRS))
    sealed, readable = await theirs.encode([memo(), PLAIN])
    assert (KEY_ID in sealed.metadata, readable) == (True, PLAIN)


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ("", "key 1 must be"),
        ("nothing", "key 1 must be"),
        (f"a:{A_KEY},", "key 2 must be"),
        ("a:c2hvcnQ=", "key 1 must be 32 random bytes"),
        ("a:not/base64!", "key 1 must be 32 random bytes"),
        (f"a:{A_KEY},a:{A_KEY}", "key 2 has the same id as an earlier key"),
        (f"derived-1:{A_KEY}", "not begin with `derived-`"),
        (f"{A_KEY_IN_HEX}:a", "key 1 must be 32 random bytes"),
        (f"sp ace:{A_KEY}", "key 1 must be"),
    ],
)
def test_invalid_keys_are_refused_with_the_name_of_the_setting(
    monkeypatch: pytest.MonkeyPatch, given: str, fault: str
) -> None:
    monkeypatch.setenv("PAYLOAD_KEYS", given)
    with pytest.raises(SettingsError, match=r"^PAYLOAD_KEYS") as caught:
        HistorySettings.load(environment="development")
    assert fault in str(caught.value) or not given
    assert A_KEY not in str(caught.value)
    assert A_KEY_IN_HEX not in str(caught.value)


def test_no_key_is_shown(settings: HistorySettings) -> None:
    given = key()
    ring = KeyRing.of(f"a:{given}", SECRET)
    shown = f"{ring} {ring!r} {settings!r} {Settings.model_fields['payload_keys']}"
    assert given not in shown
    assert str(parse_payload_keys(f"a:{given}")["a"]) not in shown


@pytest.fixture
def settings() -> HistorySettings:
    return HistorySettings(environment="development", nextauth_secret=SecretStr(SECRET))
