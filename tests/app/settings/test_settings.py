import re
from pathlib import Path
from urllib.parse import quote

import pytest

from app.settings import Settings, SettingsError
from scripts.settings_table import with_table

REQUIRED = {
    "DATABASE_URL": "postgresql://app_user:s3cret-word@db:5432/alga",
    "ADMIN_DATABASE_URL": "postgresql://postgres:s3cret-word@db:5432/alga",
    "NEXTAUTH_SECRET": "a-long-and-serious-secret",
}


SECRETS = {"DATABASE_URL", "ADMIN_DATABASE_URL", "NEXTAUTH_SECRET"}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in REQUIRED.items():
        monkeypatch.setenv(name, value)


def test_the_defaults_are_those_of_the_contract() -> None:
    settings = Settings.load()
    assert settings.temporal_address == "temporal-frontend.temporal.svc.cluster.local:7233"
    assert (settings.temporal_namespace, settings.temporal_task_queue) == ("default", "tenant-workflows")
    assert (settings.max_concurrent_activities, settings.max_concurrent_workflows) == (10, 10)
    assert settings.log_level == "info"
    assert (settings.salt_bytes, settings.iterations, settings.key_length) == (12, 10_000, 64)
    assert settings.algorithm == "sha512"


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delenv(name)
    with pytest.raises(SettingsError, match=f"^{name} is not set: "):
        Settings.load()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://db/alga"),
        ("DATABASE_URL", "postgresql://db"),
        ("ADMIN_DATABASE_URL", "nonsense"),
        ("MAX_CONCURRENT_ACTIVITIES", "0"),
        ("MAX_CONCURRENT_WORKFLOWS", "many"),
        ("LOG_LEVEL", "loud"),
        ("NEXTAUTH_SECRET", "changeme"),
        ("NEXTAUTH_SECRET", "brief"),
        ("NEXTAUTH_SECRET", ""),
    ],
)
def test_a_wrong_setting_is_named_without_its_value(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    assert str(caught.value).startswith(name)
    assert name not in SECRETS or not value or value not in str(caught.value)


PLACEHOLDERS = [
    "change-me-to-something-long-and-random",
    "YOUR_SECRET_HERE",
    "xxxxxxxxxxxxxxxxxxxxxxxx",
    "${SECRET_THAT_NOBODY_SET}",
    "<the secret of the cluster>",
    "{{ .Values.secret.of.alga }}",
]


@pytest.mark.parametrize("placeholder", PLACEHOLDERS)
def test_every_secret_that_is_a_placeholder_is_named_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, placeholder: str
) -> None:
    secrets = {name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}
    assert secrets >= {"database_url", "admin_database_url", "redis_url", "nextauth_secret", "audit_secret"}
    for name in secrets:
        with monkeypatch.context() as only:
            scheme = "redis" if name == "redis_url" else "postgresql"
            url = f"{scheme}://ada:{quote(placeholder, safe='')}@db:5432/alga"
            only.setenv(name.upper(), url if name.endswith("_url") else placeholder)
            with pytest.raises(SettingsError) as caught:
                Settings.load()
        # Secrets with a required format are refused for that.
        assert re.match(rf"{name.upper()}( is| has a placeholder|: )", str(caught.value)), str(caught.value)
        assert placeholder not in str(caught.value)


def test_all_placeholders_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://app_user:changeme@db:5432/alga")
    monkeypatch.setenv("NEXTAUTH_SECRET", "change-me-to-something-long-and-random")
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    assert [line.partition(" ")[0] for line in str(caught.value).splitlines()] == ["DATABASE_URL", "NEXTAUTH_SECRET"]


@pytest.mark.parametrize("word", ["changeme", "CHANGE_ME", "password", "Postgres", "secret", "todo", "x"])
def test_a_url_with_an_example_password_is_refused(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://app_user:{word}@db:5432/alga")
    with pytest.raises(SettingsError, match=r"^DATABASE_URL has a placeholder as its password; set the real one: "):
        Settings.load()


@pytest.mark.parametrize("name", ["DATABASE_URL", "ADMIN_DATABASE_URL"])
def test_a_url_needs_no_password(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "postgresql://app_user@db:5432/alga")
    assert getattr(Settings.load(), name.lower()).get_secret_value() == "postgresql://app_user@db:5432/alga"


def test_development_allows_a_placeholder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "development")
    monkeypatch.setenv("NEXTAUTH_SECRET", "changeme")
    assert Settings.load().nextauth_secret.get_secret_value() == "changeme"


def test_settings_are_read_from_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NEXTAUTH_SECRET")
    (tmp_path / "nextauth_secret").write_text("a-secret-from-a-mounted-file\n")
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    assert Settings.load().nextauth_secret.get_secret_value() == "a-secret-from-a-mounted-file"


@pytest.mark.parametrize(
    ("content", "fault"),
    [(b"", "is empty"), (b" \n", "is empty"), (b"\xff\xfe", "not text in UTF-8"), (None, "Is a directory")],
)
def test_a_file_that_holds_no_secret_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None, fault: str
) -> None:
    file = tmp_path / "nextauth_secret"
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    with pytest.raises(SettingsError, match=rf"^NEXTAUTH_SECRET: {file} .*{fault}"):
        Settings.load()


def test_every_secret_can_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "..data").mkdir()
    for name in SECRETS:
        monkeypatch.delenv(name)
        (tmp_path / name).write_text(f"{REQUIRED[name]}\n")
    (tmp_path / "temporal_api_key").write_text("open sesame\n")
    (tmp_path / "audit_secret").write_text("a-long-and-serious-audit-secret\r\n")
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    settings = Settings.load()
    assert settings.database_url.get_secret_value() == REQUIRED["DATABASE_URL"]
    assert settings.temporal_api_key is not None
    assert settings.temporal_api_key.get_secret_value() == "open sesame"
    assert settings.audit_secret is not None
    assert settings.audit_secret.get_secret_value() == "a-long-and-serious-audit-secret"


def test_a_missing_folder_of_secrets_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(SettingsError, match=r"^SECRETS_DIR: "):
        Settings.load()


def test_no_secret_is_in_the_repr() -> None:
    shown = repr(Settings.load()) + str(Settings.load().model_dump())
    assert "s3cret-word" not in shown
    assert REQUIRED["NEXTAUTH_SECRET"] not in shown


def test_the_document_lists_every_setting_as_the_code_says() -> None:
    text = (Path(__file__).parents[3] / "docs" / "settings.md").read_text()
    assert with_table(text) == text, "run `python scripts/settings_table.py`"
