"""Logging of every process: one line per event, JSON in production, the same for our code and libraries.

Our lines take structlog's fast path (docs/adr/0002-structlog-fast-path.md). Every line passes `redact`.
"""

import logging
import sys
import traceback
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger
from temporalio.runtime import (
    LogForwardingConfig,
    LoggingConfig,
    MetricBuffer,
    Runtime,
    TelemetryConfig,
    TelemetryFilter,
)

from app.settings import TemporalSettings
from app.telemetry.redaction import redact_value
from app.telemetry.tracing.current import current_ids

# At debug level these log statements, rows or headers.
QUIET_LIBRARIES = ("sqlalchemy", "httpcore", "httpx")

# Fields in which uvicorn and Temporal repeat the message.
REPEATED_FIELDS = ("color_message", "temporal_log")

# Fields that this module sets, so that they contain no input.
OWN_FIELDS = frozenset({"timestamp", "level", "logger"})


class TolerantLogger(structlog.BoundLoggerBase):
    """Reports a line that can't be rendered or written on stderr, so that logging never fails the caller."""

    def _proxy_to_logger(self, method_name: str, event: str | None = None, **event_kw: Any) -> Any:
        try:
            return super()._proxy_to_logger(method_name, event, **event_kw)
        except Exception:  # noqa: BLE001 - handlers of the standard library do the same
            traceback.print_exc()


class LibraryHandler(logging.Handler):
    """Writes records of the standard library through a `BytesLogger`, which shares the lock of the file."""

    def __init__(self, logger: structlog.BytesLogger) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record, or report the failure on stderr."""
        try:
            self._logger.msg(_encode(None, "", self.format(record)))
        except Exception:  # noqa: BLE001 - the contract of `handleError`
            self.handleError(record)


def configure_logging(
    settings: TemporalSettings, stream: TextIO | None = None, metrics: MetricBuffer | None = None
) -> None:
    """Write all log lines, also those of the standard library, to one stream in one format.

    Call it once per process. The stream defaults to stdout and must have a binary `buffer`. `metrics` is here because
    Temporal's core has one runtime for logs and metrics.
    """
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    factory = structlog.BytesLoggerFactory((stream or sys.stdout).buffer)
    structlog.configure(
        processors=[*_shared_processors(), *_renderers(settings), _encode],
        logger_factory=factory,
        wrapper_class=type("Logger", (TolerantLogger, structlog.make_filtering_bound_logger(level)), {}),
        cache_logger_on_first_use=True,
    )
    handler = LibraryHandler(factory())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), _drop_repeated_fields, *_shared_processors()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(settings)],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in QUIET_LIBRARIES:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    logging.captureWarnings(capture=True)
    _forward_temporals_core(level, metrics)


def _forward_temporals_core(level: int, metrics: MetricBuffer | None) -> None:
    """Forward the lines of Temporal's core, which would write to stdout in its own format."""
    core = logging.getLogger("temporalio.core")
    forwarding = LogForwardingConfig(core, append_target_to_name=False)
    quiet = TelemetryFilter(core_level="ERROR" if level > logging.WARNING else "WARN", other_level="ERROR")
    telemetry = TelemetryConfig(logging=LoggingConfig(filter=quiet, forwarding=forwarding), metrics=metrics)
    Runtime.set_default(Runtime(telemetry=telemetry), error_if_already_set=False)


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Remove secrets and personal data from an event, at any depth."""
    return {name: value if name in OWN_FIELDS else redact_value(name, value) for name, value in event.items()}


def _add_trace(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {**event, **current_ids()}


def _drop_repeated_fields(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {name: value for name, value in event.items() if name not in REPEATED_FIELDS}


def _encode(_logger: WrappedLogger, _method: str, line: Any) -> bytes:
    # `line` is a string, because a renderer comes before. structlog's type allows only events.
    return bytes(line, "utf-8", "backslashreplace")


def _shared_processors() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        _add_trace,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]


def _renderers(settings: TemporalSettings) -> list[Processor]:
    # Plain tracebacks, because structlog's richer ones print local variables, such as passwords.
    if settings.environment == "development":
        console = structlog.dev.ConsoleRenderer(
            colors=sys.stdout.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
        return [structlog.processors.format_exc_info, redact, console]
    return [
        structlog.processors.format_exc_info,
        structlog.processors.EventRenamer("message"),
        redact,
        structlog.processors.JSONRenderer(),
    ]
