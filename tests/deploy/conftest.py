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
    result = template(values)
    assert result.returncode == 0, result.stderr
    return Rendered(result.stdout)
