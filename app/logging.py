"""Logging of every process: one line an event, JSON in production, ours and the libraries' alike, without secrets."""

import json
import logging
import sys
import traceback
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
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

from app.redaction import redact_value
from app.settings import TemporalSettings
from app.tracing.current import current_ids

# These write statements, rows or headers when they are asked to say everything.
QUIET_LIBRARIES = ("sqlalchemy", "httpcore", "httpx")

# What uvicorn and Temporal add to their messages, to say the same again.
REPETITIONS = ("color_message", "temporal_log")

# Of every line, and never anything that was given to us.
OURS = frozenset({"timestamp", "level", "logger"})

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "exception": logging.ERROR,
    "critical": logging.CRITICAL,
}

JSON = json.JSONEncoder(default=str)


class OwnLogger:
    """What our own lines are written by: a record of the standard library costs as much as the rest of a line.

    The standard library's `levels` hold here as well, and the handler's stream and lock are used, so that lines of
    both don't mix.
    """

    def __init__(self, handler: logging.StreamHandler[TextIO], renderers: Sequence[Processor], name: str) -> None:
        self.name = name
        self.levels = logging.getLogger(name)
        self._handler = handler
        self._renderers = renderers

    def write(self, event: EventDict) -> None:
        """Write one line; where that is not possible say so on stderr, because no work may fail for its log."""
        try:
            line: Any = event
            for render in self._renderers:
                line = render(None, "", line)
            with self._handler.lock or nullcontext():
                self._handler.stream.write(f"{line}\n")
                self._handler.flush()
        except Exception:  # noqa: BLE001 - as the standard library's handlers do
            traceback.print_exc()

    debug = info = warning = error = exception = critical = write


def configure_logging(
    settings: TemporalSettings, stream: TextIO | None = None, metrics: MetricBuffer | None = None
) -> None:
    """Send everything that is logged, also through the standard library, to one stream in one format.

    That is stdout unless another is given. Call it once, at a process's start. Temporal's core logs and counts
    through one runtime, so `metrics`, which is to take what it counts, is given here.
    """
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    handler = logging.StreamHandler(stream or sys.stdout)
    structlog.configure(
        processors=[_drop_below_level, *_shared_processors(), _hand_over],
        logger_factory=partial(OwnLogger, handler, _renderers(settings)),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.ExtraAdder(),
                _drop_noise,
                *_shared_processors(),
            ],
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
    return {name: value if name in OURS else redact_value(name, value) for name, value in event.items()}


def _add_trace(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    event.update(current_ids())
    return event


def _drop_below_level(logger: OwnLogger, method: str, event: EventDict) -> EventDict:
    if not logger.levels.isEnabledFor(LEVELS[method]):
        raise structlog.DropEvent
    return event


def _hand_over(_logger: WrappedLogger, _method: str, event: EventDict) -> tuple[tuple[EventDict], dict[str, Any]]:
    """What the logger's method is called with."""
    return (event,), {}


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
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]


def _encode(event: EventDict, **_: Any) -> str:
    return JSON.encode(event)


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
        structlog.processors.JSONRenderer(_encode),
    ]
