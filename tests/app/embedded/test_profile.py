from pathlib import Path

import pytest

from app.embedded.paths import FolderLock
from app.embedded.profile import NotRunningError, Profile, find_profile, remove_profile, write_profile
from app.embedded.stack import DevStack

PROFILE = Profile("http://127.0.0.1:8000", "at_secret", None, {"DATABASE_URL": "postgresql://a:b@c/d"})


def test_only_its_owner_can_read_a_profile_and_no_secret_is_shown(folder: Path) -> None:
    write_profile(folder, PROFILE)
    assert (folder / "profile.json").stat().st_mode & 0o777 == 0o600
    assert "secret" not in repr(PROFILE)
    assert "postgresql" not in repr(PROFILE)


def test_a_profile_is_found_only_while_its_instance_runs(folder: Path) -> None:
    lock = FolderLock(folder)
    with pytest.raises(NotRunningError):
        find_profile(folder)
    write_profile(folder, PROFILE)
    assert find_profile(folder) == PROFILE
    lock.release()
    with pytest.raises(NotRunningError, match=f"running on the data in {folder}"):
        find_profile(folder)


@pytest.mark.parametrize("text", ["", "[]", '{"url": "http://127.0.0.1:8000", "added_later": 1}'])
def test_the_profile_of_another_version_is_not_used(folder: Path, text: str) -> None:
    lock = FolderLock(folder)
    (folder / "profile.json").write_text(text)
    with pytest.raises(NotRunningError, match="another version"):
        find_profile(folder)
    lock.release()


def test_a_stack_removes_the_profile_at_its_start_and_at_its_end(folder: Path) -> None:
    data = folder / "data"
    data.mkdir()
    write_profile(data, PROFILE)
    with DevStack(data, admin_database_url="postgresql://elsewhere/alga", temporal_address="elsewhere:7233"):
        with pytest.raises(NotRunningError):
            find_profile(data)
        write_profile(data, PROFILE)
        assert find_profile(data) == PROFILE
    assert not (data / "profile.json").exists()
    remove_profile(data)
