from urllib.parse import urlsplit

import pytest

from app.embedded.postgres import EmbeddedPostgres
from app.embedded.temporal import EmbeddedTemporal
from tests.api.installation import running_service
from tests.api.trial import Trial, try_api
from tests.support.folders import reachable_folder
from tests.support.servers.databases import NewDatabase


def test_the_gateway_conforms_to_its_openapi_document(
    new_database: NewDatabase, postgres: EmbeddedPostgres, temporal: EmbeddedTemporal
) -> None:
    """A short run; `make test-api` makes a long one."""
    url = new_database()
    servers = {
        "admin_database_url": url,
        "database_url": urlsplit(postgres.url)._replace(path=urlsplit(url).path).geturl(),
        "temporal_address": temporal.address,
    }
    with reachable_folder() as folder, running_service(folder / "service", **servers) as installation:
        verdict = try_api(Trial(seed=1, examples=2, targets=2, seconds=900, is_short=True), installation, folder)

    if not verdict.is_good:
        pytest.fail(str(verdict), pytrace=False)
    assert verdict.cases > 900
