"""``secrets()``, ``pii()``, ``injection()`` and ``invisible()``: what detectors find in the texts of a value."""

from __future__ import annotations

from typing import Any

from gateway.detect import credentials, instructions, private, unseen
from gateway.detect.texts import TooMuchError
from gateway.policy.functions_text import FunctionError

Found = list[dict[str, Any]]
"""``kind``, ``score`` (0 to 1), ``evidence`` and ``path`` of each finding, the highest score first."""


def secrets(value: Any) -> Found:
    """What looks like a credential. Raises FunctionError where the value is too large to be looked through."""
    return _looked(credentials.secrets, value)


def pii(value: Any) -> Found:
    """Personal data. Raises FunctionError where the value is too large to be looked through."""
    return _looked(private.pii, value)


def injection(value: Any) -> Found:
    """Instructions meant for a model. Raises FunctionError where the value is too large to be looked through."""
    return _looked(instructions.injection, value)


def invisible(value: Any) -> Found:
    """Characters that people do not see. Raises FunctionError where the value is too large to be looked through."""
    return _looked(unseen.invisible, value)


def _looked(detect: Any, value: Any) -> Found:
    try:
        found: Found = detect(value)
    except TooMuchError as error:
        raise FunctionError(str(error)) from None
    return found
