import pytest

from tests.api.installation import running_service
from tests.api.trial import Trial, try_api
from tests.support.folders import reachable_folder


def test_the_gateway_conforms_to_its_openapi_document() -> None:
    """A short run; `make test-api` makes a long one."""
    with reachable_folder() as folder, running_service(folder / "service") as installation:
        verdict = try_api(Trial(seed=1, examples=3, targets=5, seconds=300), installation, folder)

    if not verdict.is_good:
        pytest.fail(str(verdict), pytrace=False)
    assert verdict.cases > 300
