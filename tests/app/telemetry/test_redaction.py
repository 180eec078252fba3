"""No model of the product is logged with secrets or personal data."""

import io
import logging
from collections.abc import Iterator
from typing import Literal

import pytest
import structlog
from pydantic import BaseModel

from app.settings import TemporalSettings
from app.telemetry.logging import configure_logging
from tests.support.models import Marked, all_models, marked

MODELS = sorted(all_models(), key=lambda model: f"{model.__module__}.{model.__qualname__}")


@pytest.fixture(params=["production", "development"])
def log(request: pytest.FixtureRequest) -> Iterator[io.BytesIO]:
    """Capture the logged bytes."""
    buffer = io.BytesIO()
    environment: Literal["production", "development"] = request.param
    with io.TextIOWrapper(buffer) as stream:
        configure_logging(TemporalSettings(environment=environment, log_level="debug"), stream)
        yield buffer


def log_in_every_way(model: object) -> None:
    ours, foreign = structlog.get_logger("tests"), logging.getLogger("uvicorn.error")
    for text in (repr(model), str(model)):
        ours.info(f"seen {text}", text=text)
        foreign.info(text)
    ours.info("seen", value=model, nested={"list": [model], "deep": {"set": (model,)}})
    ours.info("seen %s and %r", model, model)
    foreign.warning("seen %s and %r", model, model, extra={"value": model})
    try:
        fail(model)
    except RuntimeError:
        ours.exception("failed", value=model)
        foreign.exception("failed with %s", {"model": model})


def fail(model: object) -> None:
    try:
        dict[str, str]()[str(model)]
    except KeyError as error:
        raise RuntimeError(f"can't use {model!r}") from error


def test_no_model_is_logged_with_a_secret_or_personal_data(log: io.BytesIO) -> None:
    shown = {}
    for model in MODELS:
        log.seek(0)
        log.truncate()
        given = marked(model)
        log_in_every_way(given.model)
        written = log.getvalue().decode()
        assert written.count("seen") >= 5
        assert "failed" in written
        shown[model] = found(given.secrets | given.personal, written)
    assert {model: texts for model, texts in shown.items() if texts} == {}


def test_no_model_shows_a_secret_or_personal_data_in_its_repr() -> None:
    given = {model: marked(model) for model in MODELS}
    shown = {
        model: found(each.secrets | each.personal, repr(each.model) + str(each.model))
        for model, each in given.items()
    }
    assert {model: texts for model, texts in shown.items() if texts} == {}


def test_no_validation_error_shows_its_input() -> None:
    models = [model for model in MODELS if issubclass(model, BaseModel)]
    assert [model for model in models if not model.model_config.get("hide_input_in_errors")] == []


def test_the_models_are_found_and_filled() -> None:
    names = {model.__name__ for model in MODELS}
    assert names >= {"AdminUser", "AdminUserRequest", "Settings", "ApiKey", "StatusDocument", "Installation"}
    given: dict[str, Marked] = {model.__name__: marked(model) for model in MODELS}
    assert len(given["TenantCreationInput"].secrets) == 3
    assert len(given["TenantCreationInput"].personal) == 4
    assert len(given["Settings"].secrets) >= 4


def found(markers: frozenset[str], text: str) -> list[str]:
    """Return the surroundings of markers in a text."""
    return [text[max(0, text.index(marker) - 60) : text.index(marker) + 20] for marker in markers if marker in text]
