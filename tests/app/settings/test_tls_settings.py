from pathlib import Path

import pytest

from app.settings import Settings, SettingsError
from tests.support.certificates import Authority, Pair

PLAIN = "postgresql://ada:s3cret-word@db.example:5432/alga"
REQUIRED = {"DATABASE_URL": PLAIN, "ADMIN_DATABASE_URL": PLAIN, "NEXTAUTH_SECRET": "a-long-and-serious-secret"}
DATABASE_CA, DATABASE_CERT, DATABASE_KEY = (f"DATABASE_TLS_{name}_FILE" for name in ("CA", "CERT", "KEY"))
TEMPORAL_CA, TEMPORAL_CERT, TEMPORAL_KEY = (f"TEMPORAL_TLS_{name}_FILE" for name in ("CA", "CERT", "KEY"))


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in REQUIRED.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.issue("client.example")


@pytest.fixture
def names(authority: Authority, pair: Pair, tmp_path: Path) -> dict[str, str]:
    """Values of the placeholders in braces."""
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("-----BEGIN NONSENSE-----\n")
    encrypted = authority.issue("encrypted.example", passphrase="open sesame")
    return {
        "ca": str(authority.file),
        "cert": str(pair.certificate),
        "key": str(pair.key),
        "other_key": str(authority.issue("other.example").key),
        "encrypted_cert": str(encrypted.certificate),
        "encrypted_key": str(encrypted.key),
        "nonsense": str(nonsense),
        "missing": str(tmp_path / "missing.pem"),
        "folder": str(tmp_path),
        "plain": PLAIN,
    }


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"DATABASE_TLS_MODE": "verify-full"}, "DATABASE_TLS_CA_FILE is not set: verify-full needs"),
        ({"DATABASE_TLS_MODE": "verify-ca"}, "DATABASE_TLS_CA_FILE is not set: verify-ca needs"),
        ({"DATABASE_TLS_MODE": "prefer"}, "DATABASE_TLS_MODE: "),
        ({DATABASE_CA: "{ca}"}, "DATABASE_TLS_MODE must be verify-full"),
        ({DATABASE_CERT: "{cert}", DATABASE_KEY: "{key}"}, "DATABASE_TLS_MODE must be verify-full"),
        ({"DATABASE_TLS_MODE": "disable", DATABASE_CA: "{ca}"}, "DATABASE_TLS_MODE must be verify-full"),
        ({"DATABASE_TLS_MODE": "require", DATABASE_CERT: "{cert}"}, "DATABASE_TLS_KEY_FILE is not set"),
        ({"DATABASE_TLS_MODE": "require", DATABASE_KEY: "{key}"}, "DATABASE_TLS_CERT_FILE is not set"),
        ({"DATABASE_TLS_MODE": "verify-ca", DATABASE_CA: "system"}, "DATABASE_TLS_MODE must be verify-full"),
        ({"DATABASE_TLS_MODE": "verify-full", DATABASE_CA: "{missing}"}, f"{DATABASE_CA} .*: No such file"),
        ({"DATABASE_TLS_MODE": "verify-full", DATABASE_CA: "{folder}"}, f"{DATABASE_CA} .*: Is a directory"),
        ({"DATABASE_TLS_MODE": "verify-full", DATABASE_CA: "{nonsense}"}, f"{DATABASE_CA} .*holds no certificate"),
        ({"DATABASE_TLS_MODE": "verify-full", DATABASE_CA: "{key}"}, f"{DATABASE_CA} .*holds no certificate"),
        (
            {"DATABASE_TLS_MODE": "require", DATABASE_CERT: "{cert}", DATABASE_KEY: "{other_key}"},
            f"{DATABASE_KEY} .*is not the key of the certificate",
        ),
        (
            {"DATABASE_TLS_MODE": "require", DATABASE_CERT: "{cert}", DATABASE_KEY: "{cert}"},
            f"{DATABASE_KEY} .*holds no private key",
        ),
        (
            {"DATABASE_TLS_MODE": "require", DATABASE_CERT: "{encrypted_cert}", DATABASE_KEY: "{encrypted_key}"},
            f"{DATABASE_KEY} .*is encrypted",
        ),
        ({"DATABASE_URL": "{plain}?sslmode=verify-full"}, "DATABASE_URL: sslrootcert is not set"),
        ({"DATABASE_URL": "{plain}?sslmode=maybe"}, "DATABASE_URL: sslmode must be one of"),
        ({"DATABASE_URL": "{plain}?sslrootcert={ca}"}, "DATABASE_URL: sslmode must be verify-full"),
        ({"DATABASE_URL": "{plain}?sslmode=prefer&sslrootcert={ca}"}, "DATABASE_URL: sslmode must be verify-full"),
        ({"ADMIN_DATABASE_URL": "{plain}?sslmode=require&sslcert={cert}"}, "ADMIN_DATABASE_URL: sslkey is not set"),
        (
            {"ADMIN_DATABASE_URL": "{plain}?sslmode=verify-ca&sslrootcert={missing}"},
            "ADMIN_DATABASE_URL: sslrootcert .*: No such file",
        ),
        ({"DATABASE_URL": "{plain}?ssl=true"}, "DATABASE_URL: the parameter ssl is not .*write sslmode=verify-full"),
        ({"DATABASE_URL": "{plain}?pool=5"}, "DATABASE_URL: the parameter pool is not"),
        (
            {"DATABASE_URL": "{plain}?sslmode=disable", "DATABASE_TLS_MODE": "verify-full", DATABASE_CA: "{ca}"},
            "DATABASE_TLS_MODE and sslmode in DATABASE_URL contradict each other",
        ),
        ({TEMPORAL_CERT: "{cert}"}, "TEMPORAL_TLS_KEY_FILE is not set"),
        ({TEMPORAL_KEY: "{key}"}, "TEMPORAL_TLS_CERT_FILE is not set"),
        ({TEMPORAL_CERT: "{cert}", TEMPORAL_KEY: "{other_key}"}, f"{TEMPORAL_KEY}: .*is not the key"),
        ({TEMPORAL_CERT: "{nonsense}", TEMPORAL_KEY: "{key}"}, f"{TEMPORAL_CERT}: .*holds no certificate"),
        ({TEMPORAL_CA: "{missing}"}, f"{TEMPORAL_CA}: .*: No such file"),
        ({TEMPORAL_CA: "{nonsense}"}, f"{TEMPORAL_CA}: .*holds no certificate"),
        ({"TEMPORAL_API_KEY": "open sesame", "TEMPORAL_TLS": "false"}, "TEMPORAL_TLS is false, but TEMPORAL_API_KEY"),
        ({TEMPORAL_CA: "{ca}", "TEMPORAL_TLS": "false"}, f"TEMPORAL_TLS is false, but {TEMPORAL_CA}"),
        ({"TEMPORAL_API_KEY": ""}, "TEMPORAL_API_KEY: "),
    ],
)
def test_contradicting_settings_are_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, names: dict[str, str], given: dict[str, str], fault: str
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value.format(**names))
    with pytest.raises(SettingsError, match=f"^{fault}") as caught:
        Settings.load()
    assert "s3cret-word" not in str(caught.value)
    assert "sesame" not in str(caught.value)


def test_the_settings_apply_to_both_urls(monkeypatch: pytest.MonkeyPatch, names: dict[str, str]) -> None:
    given = {"DATABASE_TLS_MODE": "verify-full", DATABASE_CA: "{ca}", DATABASE_CERT: "{cert}", DATABASE_KEY: "{key}"}
    for name, value in given.items():
        monkeypatch.setenv(name, value.format(**names))
    settings = Settings.load()
    wanted = {
        "sslmode": "verify-full",
        "sslrootcert": names["ca"],
        "sslcert": names["cert"],
        "sslkey": names["key"],
    }
    assert settings.gateway_database.query == settings.admin_database.query == wanted


def test_the_url_may_repeat_the_settings(monkeypatch: pytest.MonkeyPatch, names: dict[str, str]) -> None:
    monkeypatch.setenv("DATABASE_TLS_MODE", "verify-full")
    monkeypatch.setenv(DATABASE_CA, names["ca"])
    monkeypatch.setenv("DATABASE_URL", f"{PLAIN}?sslmode=verify-full&sslrootcert={names['ca']}")
    assert Settings.load().gateway_database.query["sslmode"] == "verify-full"


def test_the_systems_certificates_may_be_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f"{PLAIN}?sslmode=verify-full&sslrootcert=system")
    assert Settings.load().gateway_database.query["sslrootcert"] == "system"


@pytest.mark.parametrize(
    "given",
    [
        {"TEMPORAL_TLS": "true"},
        {"TEMPORAL_API_KEY": "open sesame"},
        {"TEMPORAL_TLS_SERVER_NAME": "temporal.example"},
        {TEMPORAL_CA: "{ca}"},
        {TEMPORAL_CERT: "{cert}", TEMPORAL_KEY: "{key}"},
    ],
)
def test_a_setting_that_needs_tls_switches_it_on(
    monkeypatch: pytest.MonkeyPatch, names: dict[str, str], given: dict[str, str]
) -> None:
    assert not Settings.load().temporal_uses_tls
    for name, value in given.items():
        monkeypatch.setenv(name, value.format(**names))
    assert Settings.load().temporal_uses_tls
