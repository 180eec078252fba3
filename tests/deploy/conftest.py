from pathlib import Path

import pytest

from tests.deploy.chart import Rendered, template

VALUES = sorted((Path(__file__).parent / "values").glob("*.yaml"))


@pytest.fixture(scope="session", params=VALUES, ids=[file.stem for file in VALUES])
def values(request: pytest.FixtureRequest) -> Path:
    """A file of values; a test that uses it or `rendered` runs for each."""
    file: Path = request.param
    return file


@pytest.fixture(scope="session")
def rendered(values: Path) -> Rendered:
    answer = template(values)
    assert answer.returncode == 0, answer.stderr
    return Rendered(answer.stdout)
