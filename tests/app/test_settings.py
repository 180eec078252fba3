import re
from pathlib import Path

import pytest

from app.settings import Settings, SettingsError
from app.settings.table import settings_table

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
def test_a_wrong_setting_is_named_and_its_value_not_told(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    assert str(caught.value).startswith(name)
    assert name not in SECRETS or not value or value not in str(caught.value)


def test_development_allows_a_placeholder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "development")
    monkeypatch.setenv("NEXTAUTH_SECRET", "changeme")
    assert Settings.load().nextauth_secret.get_secret_value() == "changeme"


def test_settings_are_read_from_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NEXTAUTH_SECRET")
    (tmp_path / "nextauth_secret").write_text("a-secret-from-a-mounted-file\n")
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    assert Settings.load().nextauth_secret.get_secret_value() == "a-secret-from-a-mounted-file"


def test_a_missing_folder_of_secrets_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(SettingsError, match=r"^SECRETS_DIR: "):
        Settings.load()


def test_no_secret_is_in_the_repr() -> None:
    shown = repr(Settings.load()) + str(Settings.load().model_dump())
    assert "s3cret-word" not in shown
    assert REQUIRED["NEXTAUTH_SECRET"] not in shown


def test_the_readme_lists_every_setting_as_the_code_says() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    (listed,) = re.findall(r"<!-- settings -->\n(.*)<!-- end of settings -->", readme, flags=re.DOTALL)
    assert listed == settings_table()
