from pathlib import Path

from tests.support.spreading import FIRST, TOGETHER

REPOSITORY = Path(__file__).parents[2]


def test_each_named_file_and_folder_exists() -> None:
    named = [*FIRST, *(file for files in TOGETHER.values() for file in files)]

    assert not [name for name in named if not (REPOSITORY / name).exists()]
