"""Structured logs: one JSON line per event, never with a token or the content of a message.

For an exception, its class and its stack are logged. Its text is left out, because it may quote
values.
"""

import json
import logging
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

log = logging.getLogger("sessions")


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        line = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        return json.dumps(line)


def configure(level: str) -> None:
    """Uses one handler of our own. Lambda's would write each line again in its own format."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    log.handlers = [handler]
    log.propagate = False
    log.setLevel(level)


def log_event(message: str, fields: dict[str, Any]) -> None:
    """Logs a line at INFO. Faster than `log.info`, which looks up the calling function for every
    line."""
    if log.isEnabledFor(logging.INFO):
        log_always(message, fields)


def log_always(message: str, fields: dict[str, Any]) -> None:
    """Logs a line at INFO, whatever LOG_LEVEL says."""
    record = logging.LogRecord(log.name, logging.INFO, "", 0, message, (), None)
    record.fields = fields
    log.handle(record)


def log_exception(error: BaseException, **fields: Any) -> None:
    """Logs an unexpected exception, together with `fields`."""
    frames = traceback.extract_tb(error.__traceback__)
    details = {
        **fields,
        "exception": f"{type(error).__module__}.{type(error).__qualname__}",
        "error_code": getattr(error, "response", {}).get("Error", {}).get("Code"),
        "frames": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }
    log.error("unexpected exception", extra={"fields": details})


def log_damaged(partition: str, sk: str) -> None:
    """Logs the key of a stored item that cannot be shown. Nothing of its content is logged."""
    log.warning("damaged item", extra={"fields": {"partition": partition, "sk": sk}})


def embedded_metrics(
    namespace: str | None, units: dict[str, str], dimensions: Sequence[str] = ()
) -> Callable[[], dict[str, Any]]:
    """Returns a function that makes the members to add to a log line, from which CloudWatch reads
    metrics. Without a namespace there are none.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    """
    if not namespace:
        return dict
    directive = {
        "Namespace": namespace,
        "Dimensions": [[], *([name] for name in dimensions)],
        "Metrics": [{"Name": name, "Unit": unit} for name, unit in units.items()],
    }
    return lambda: {
        "_aws": {"Timestamp": time.time_ns() // 1_000_000, "CloudWatchMetrics": [directive]}
    }
