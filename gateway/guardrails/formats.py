"""What guardrails are asked, and what they answer, each in its own format. Quiet.

Sources: OpenAI's ``POST /v1/moderations``, Lakera Guard's ``POST /v2/guard``, Presidio analyzer's ``POST /analyze``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any

from gateway.config.schema_guardrails import GuardrailConfig
from gateway.errors import Refused
from gateway.model import Reason

Said = dict[str, Any]
"""``flagged``, ``score``, ``labels``, ``detail``, ``answered``: what rules read."""

MOST_LABELS, LONGEST_LABEL, LONGEST_DETAIL = 32, 64, 256


class UnusableError(ValueError):
    """An answer that is not in the format; the text says what is wrong and quotes nothing of it."""


def unanswered() -> Said:
    """What rules read of a guardrail that has not answered."""
    return {"flagged": False, "score": 0.0, "labels": [], "detail": "", "answered": False}


def unavailable(name: str, why: str, wait: float = 0.0) -> Refused:
    """The refusal of what a guardrail must be asked about, and is not. ``wait`` is in seconds."""
    return Refused(
        Reason.GUARDRAIL_UNAVAILABLE,
        503,
        f"guardrail {name!r} must be asked about this, and cannot: {why}",
        "try again later",
        retry_after=max(1.0, wait),
        rule=f"guardrail/{name}",
    )


def question_of(config: GuardrailConfig, about: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON that is sent. ``about`` has agent, run, tool, operation, args, messages and, after the call, result."""
    told = {key: value for key, value in about.items() if key not in ("args", "messages", "result")}
    told |= {key: about[key] for key in config.sends if about.get(key) is not None}
    if config.adapter == "toolgate":
        return told
    text = "\n".join(_texts(told["result"] if "result" in told else [told.get("args"), told.get("messages")]))
    if config.adapter == "openai":
        return {"input": text} if config.model is None else {"input": text, "model": config.model}
    if config.adapter == "lakera":
        return {"messages": [{"role": "assistant" if "result" in told else "user", "content": text}]}
    return {"text": text, "language": config.language}


def said_in(config: GuardrailConfig, answer: Any) -> Said:
    """What rules read of an answer.

    Raises:
        UnusableError: it is not in the format.
    """
    if config.adapter == "openai":
        return _openai(answer)
    if config.adapter == "lakera":
        return _lakera(answer)
    if config.adapter == "presidio":
        return _presidio(answer, config.threshold)
    answer = _object(answer)
    score, labels, detail = answer.get("score"), answer.get("labels"), answer.get("detail")
    flagged = _flag(answer)
    return _said(
        flagged,
        float(flagged) if score is None else _number(score),
        [] if labels is None else _list(labels),
        "" if detail is None else detail,
    )


def _openai(answer: Any) -> Said:
    results = [_object(one) for one in _list(_object(answer).get("results"))]
    if not results:
        raise UnusableError("it has no results")
    scores = [_number(score) for one in results for score in _object(one.get("category_scores")).values()]
    labels = [name for one in results for name, found in _object(one.get("categories")).items() if found is True]
    return _said(any(list(map(_flag, results))), max(scores, default=0.0), labels)


def _lakera(answer: Any) -> Said:
    found = _object(answer)
    parts = [_object(one) for one in _list(found.get("breakdown", []))]
    labels = [part.get("detector_type", "") for part in parts if part.get("detected") is True]
    flagged = _flag(found)
    return _said(flagged, float(flagged), labels)


def _presidio(answer: Any, threshold: float) -> Said:
    entities = [_object(one) for one in _list(answer)]
    scored = [(_number(one.get("score")), one.get("entity_type", "")) for one in entities]
    labels = [label for score, label in scored if score >= threshold]
    return _said(bool(labels), max([score for score, _ in scored], default=0.0), labels)


def _said(flagged: bool, score: float, labels: list[Any], detail: Any = "") -> Said:
    if not isinstance(detail, str) or not all(isinstance(label, str) for label in labels):
        raise UnusableError("labels or detail are no text")
    some = [label[:LONGEST_LABEL] for label in dict.fromkeys(labels)][:MOST_LABELS]
    return {"flagged": flagged, "score": score, "labels": some, "detail": detail[:LONGEST_DETAIL], "answered": True}


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UnusableError("an object is missing")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise UnusableError("a list is missing")
    return value


def _flag(value: Mapping[str, Any]) -> bool:
    flagged = value.get("flagged")
    if not isinstance(flagged, bool):
        raise UnusableError("flagged is neither true nor false")
    return flagged


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise UnusableError("a score is no number")
    return float(value)


def _texts(value: Any) -> Iterator[str]:
    """All texts in a value, names of members too: what is planted there is read by models as well."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key)
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
