"""The gateway's own log, without secrets: the last thing that happens to a line, tracebacks included."""

from __future__ import annotations

import logging

from gateway.observe.redact import Redactor

FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"


class RedactedFormatter(logging.Formatter):
    """Formats as ``logging`` does, then masks."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__(FORMAT)
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        """The line, or lines, that are written."""
        return self._redactor.text(super().format(record))
