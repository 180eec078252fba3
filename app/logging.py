"""Logging of every process: one line an event, JSON in production, ours and the libraries' alike, without secrets."""

import logging
import sys
from typing import TextIO

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

from app.redaction import redact_value
from app.settings import TemporalSettings
from app.tracing.current import current_ids

# These write statements, rows or headers when they are asked to say everything.
QUIET_LIBRARIES = ("sqlalchemy", "httpcore", "httpx")

# What uvicorn and Temporal add to their messages, to say the same again.
REPETITIONS = ("color_message", "temporal_log")


def configure_logging(
    settings: TemporalSettings, stream: TextIO | None = None, metrics: MetricBuffer | None = None
) -> None:
    """Send everything that is logged, also through the standard library, to one stream in one format.

    That is stdout unless another is given. Call it once, at a process's start. Temporal's core logs and counts
    through one runtime, so `metrics`, which is to take what it counts, is given here.
    """
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared_processors(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_shared_processors(),
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderers(settings),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in QUIET_LIBRARIES:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    logging.captureWarnings(capture=True)
    _take_over_temporals_core(level, metrics)


def _take_over_temporals_core(level: int, metrics: MetricBuffer | None) -> None:
    """Temporal's core is not written in Python, and writes to stdout in a form of its own unless told otherwise."""
    core = logging.getLogger("temporalio.core")
    forwarding = LogForwardingConfig(core, append_target_to_name=False)
    quiet = TelemetryFilter(core_level="ERROR" if level > logging.WARNING else "WARN", other_level="ERROR")
    telemetry = TelemetryConfig(logging=LoggingConfig(filter=quiet, forwarding=forwarding), metrics=metrics)
    Runtime.set_default(Runtime(telemetry=telemetry), error_if_already_set=False)


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Blank out secrets and personal data, in whatever is logged and however deep."""
    return {name: redact_value(name, value) for name, value in event.items()}


def _add_trace(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    event.update(current_ids())
    return event


def _drop_noise(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    for name in REPETITIONS:
        event.pop(name, None)
    return event


def _shared_processors() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        _add_trace,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.stdlib.ExtraAdder(),
        _drop_noise,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]


def _renderers(settings: TemporalSettings) -> list[Processor]:
    # Tracebacks as plain text: structlog's richer forms print local variables, and so passwords.
    if settings.environment == "development":
        console = structlog.dev.ConsoleRenderer(
            colors=sys.stdout.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
        return [structlog.processors.format_exc_info, redact, console]
    return [
        structlog.processors.format_exc_info,
        structlog.processors.EventRenamer("message"),
        redact,
        structlog.processors.JSONRenderer(default=str),
    ]
