"""An injector's log: one JSON object a line."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime

import orjson
from aiohttp.http import HttpProcessingError

HTTP = logging.getLogger("toolgate.inject.http")


class JsonLines(logging.Formatter):
    """``time``, ``level``, ``message``, and what a record has as ``about``."""

    def format(self, record: logging.LogRecord) -> str:
        """The line. Names in it are whatever the authors of pods think of, so nothing is written but JSON."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "about", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=repr).decode()


def begin() -> None:
    """Log to standard error, from now on."""
    told = logging.StreamHandler(sys.stderr)
    told.setFormatter(JsonLines())
    logging.basicConfig(handlers=[told], level=logging.INFO)
    HTTP.addFilter(_ours)


def _ours(record: logging.LogRecord) -> bool:
    """Not of requests that are malformed: their sender is answered 400, and could fill the log with tracebacks."""
    error = record.exc_info[1] if record.exc_info else None
    return not (isinstance(error, HttpProcessingError) and error.code < 500)
