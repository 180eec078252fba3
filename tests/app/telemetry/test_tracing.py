"""Spans of statements, and the export of spans."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.database.transactions import Statement, Transactions
from app.database import worker_engine
from app.settings import Settings, SettingsError
from app.telemetry.tracing.current import current_ids, current_tracer, traced
from tests.support.servers.databases import NewDatabase
from tests.support.telemetry.spans import KeptSpans
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio

EMAIL = "ada@acme.example"
GIVEN = {"environment", "database_url", "admin_database_url", "nextauth_secret"}
INSERT = text("INSERT INTO people VALUES (:email)")

Work = Callable[[AsyncEngine], Awaitable[None]]


@pytest.fixture(scope="module")
def settings(new_database: NewDatabase) -> Settings:
    url = SecretStr(new_database())
    return Settings(
        environment="development", database_url=url, admin_database_url=url, nextauth_secret=SecretStr("test-secret")
    )


async def spans_of(settings: Settings, work: Work, *, within: str | None = "work") -> list[ReadableSpan]:
    """Return the spans of a traced process that does the work within a span of that name."""
    kept = KeptSpans()
    with traced(settings, "alga-tenants-tests", kept):
        engine = worker_engine(settings)
        tracer = current_tracer()
        assert tracer is not None
        try:
            if within is None:
                await work(engine)
            else:
                with tracer.start_as_current_span(within):
                    await work(engine)
        finally:
            await engine.dispose()
    return kept.spans


async def insert_twice(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.exec_driver_sql("CREATE TEMPORARY TABLE people (email text UNIQUE) ON COMMIT DROP")
        await connection.execute(INSERT, {"email": EMAIL})
        with pytest.raises(DBAPIError):
            await connection.execute(INSERT, {"email": EMAIL})


async def fail_in_a_script(engine: AsyncEngine) -> None:
    async def fail() -> None:
        async with Transactions(engine).begin() as opened:
            await opened.connection.execute(text("SELECT set_config('ours.email', :email, true)"), {"email": EMAIL})
            failure = text("DO $$BEGIN RAISE EXCEPTION '%', current_setting('ours.email'); END$$")
            opened.run_with_commit(Statement(failure))

    with pytest.raises(DBAPIError, match=EMAIL):
        await fail()


async def be_cancelled(engine: AsyncEngine) -> None:
    async with engine.connect() as watching, engine.connect() as sleeping:
        process = (await sleeping.execute(text("SELECT pg_backend_pid()"))).scalar_one()
        asleep = asyncio.create_task(sleeping.execute(text("SELECT pg_sleep(60)")))

        async def is_asleep() -> bool:
            query = text("SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = :process")
            return bool((await watching.execute(query, {"process": process})).scalar_one())

        await wait_until(is_asleep, timeout=20, every=0.02)
        asleep.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asleep


async def test_a_statement_is_shown_without_its_values_and_its_error_by_sqlstate(settings: Settings) -> None:
    spans = await spans_of(settings, insert_twice)
    created, inserted, rejected, work = spans
    assert [span.name for span in spans] == ["CREATE", "INSERT", "INSERT", "work"]
    assert created.parent == inserted.parent == rejected.parent == work.get_span_context()
    assert inserted.attributes is not None
    assert inserted.attributes["db.query.text"] == "INSERT INTO people VALUES ($1)"
    assert inserted.status.status_code is StatusCode.UNSET
    assert rejected.attributes is not None
    assert rejected.attributes["db.response.status_code"] == rejected.attributes["error.type"] == "23505"
    assert rejected.status.status_code is StatusCode.ERROR
    assert EMAIL not in "".join(span.to_json() for span in spans)


async def test_a_script_is_traced_like_a_statement(settings: Settings) -> None:
    spans = await spans_of(settings, fail_in_a_script)
    assert [span.name for span in spans] == ["BEGIN", "SELECT", "DO", "ROLLBACK", "work"]
    failed = spans[2].attributes
    assert failed is not None
    assert failed["db.response.status_code"] == "P0001"
    assert EMAIL not in "".join(span.to_json() for span in spans)


async def test_a_cancelled_statement_ends_its_span(settings: Settings) -> None:
    spans = await spans_of(settings, be_cancelled)
    (cancelled,) = [span for span in spans if "pg_sleep" in str((span.attributes or {}).get("db.query.text"))]
    assert cancelled.attributes is not None
    assert cancelled.attributes["error.type"] == "CancelledError"


async def test_statements_outside_a_trace_are_not_traced(settings: Settings) -> None:
    assert await spans_of(settings, insert_twice, within=None) == []


async def test_messages_of_exceptions_are_not_exported(settings: Settings) -> None:
    async def fail(_engine: AsyncEngine) -> None:
        tracer = current_tracer()
        assert tracer is not None
        with pytest.raises(ValueError, match=EMAIL), tracer.start_as_current_span("step"):
            raise ValueError(EMAIL)

    step, _work = await spans_of(settings, fail)
    assert [dict(event.attributes or {}) for event in step.events] == [{"exception.type": "ValueError"}]
    assert (step.status.status_code, step.status.description) == (StatusCode.ERROR, None)


async def test_with_a_sampling_ratio_of_zero_log_lines_still_have_ids(settings: Settings) -> None:
    ids: dict[str, str] = {}

    async def look(engine: AsyncEngine) -> None:
        ids.update(current_ids())
        await insert_twice(engine)

    assert await spans_of(settings.model_copy(update={"otel_traces_sampler_arg": 0.0}), look) == []
    assert ids.keys() == {"trace_id", "span_id"}
    assert current_ids() == {}


@pytest.mark.parametrize(
    "base", ["http://collector:4318", "http://collector:4318/", "https://ada.example/otlp", "http://[::1]:4318"]
)
def test_the_path_of_traces_is_added_to_the_endpoint(settings: Settings, base: str) -> None:
    found = settings.model_copy(update={"otel_exporter_otlp_endpoint": base}).traces_endpoint
    assert found == f"{base.rstrip('/')}/v1/traces"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "grpc://collector:4317"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:no"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318?key=unmistakable"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://ada:unmistakable@collector:4318"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "unmistakable"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=,x=unmistakable"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=unmistakable%0d%0ax"),
        ("OTEL_TRACES_SAMPLER_ARG", "1.5"),
        ("TRACE_CONTEXT_ALLOW_IPS", "everybody"),
    ],
)
def test_an_invalid_setting_is_named_without_its_value(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"^{name}: ") as caught:
        Settings.load(**settings.model_dump(include=GIVEN))
    assert "unmistakable" not in str(caught.value)
