"""What guardrails are asked, and how their answers are read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.schema_guardrails import GuardrailConfig
from gateway.guardrails.formats import UnusableError, question_of, said_in

ABOUT = {
    "agent": "a",
    "run": "r",
    "tool": "mail",
    "operation": "POST /send",
    "args": {"to": "x@example.org", "parts": [{"text": "hello"}]},
    "messages": [{"role": "user", "content": "say hello"}],
}
ADAPTERS = ("toolgate", "openai", "lakera", "presidio")


def config(**more: Any) -> GuardrailConfig:
    return GuardrailConfig(url="http://127.0.0.1:1", **more)


def test_only_what_is_configured_to_be_sent_is_sent() -> None:
    asked = question_of(config(sends=("args",)), {**ABOUT, "result": "secret"})
    assert asked == {key: ABOUT[key] for key in ("agent", "run", "tool", "operation", "args")}


def test_adapters_are_told_texts_of_the_call_and_of_a_result_only_that() -> None:
    before = question_of(config(adapter="presidio", language="de"), ABOUT)
    assert before["language"] == "de"
    assert {"hello", "say hello", "x@example.org"} <= set(before["text"].split("\n"))
    after = {**ABOUT, "result": "the answer"}
    assert question_of(config(adapter="presidio"), after)["text"] == "the answer"
    assert question_of(config(adapter="openai", model="m"), after) == {"input": "the answer", "model": "m"}
    assert question_of(config(adapter="lakera"), after)["messages"] == [{"role": "assistant", "content": "the answer"}]


@pytest.mark.parametrize(
    ("adapter", "answer", "flagged", "score", "labels"),
    [
        ("toolgate", {"flagged": True, "score": 0.9, "labels": ["injection"]}, True, 0.9, ["injection"]),
        ("toolgate", {"flagged": False}, False, 0.0, []),
        ("toolgate", {"flagged": True, "score": None, "labels": None, "detail": None}, True, 1.0, []),
        (
            "openai",
            {
                "results": [
                    {"flagged": True, "categories": {"hate": True, "x": False}, "category_scores": {"hate": 0.7}}
                ]
            },
            True,
            0.7,
            ["hate"],
        ),
        (
            "lakera",
            {"flagged": True, "breakdown": [{"detector_type": "prompt_attack", "detected": True}, {"detected": False}]},
            True,
            1.0,
            ["prompt_attack"],
        ),
        (
            "presidio",
            [{"entity_type": "IBAN_CODE", "score": 1.0}, {"entity_type": "DATE_TIME", "score": 0.4}],
            True,
            1.0,
            ["IBAN_CODE"],
        ),
        ("presidio", [], False, 0.0, []),
    ],
)
def test_answers_are_read(adapter: Any, answer: Any, flagged: bool, score: float, labels: list[str]) -> None:
    said = said_in(config(adapter=adapter), answer)
    assert (said["flagged"], said["score"], said["labels"], said["answered"]) == (flagged, score, labels, True)


@pytest.mark.parametrize("flagged", [None, 1, "true", [], {}])
def test_what_is_neither_true_nor_false_is_no_answer(flagged: Any) -> None:
    """Above all "false" in quotes, or a flag that is missing, must not pass for an all-clear."""
    for adapter in ("toolgate", "lakera"):
        with pytest.raises(UnusableError):
            said_in(config(adapter=adapter), {"flagged": flagged})
    with pytest.raises(UnusableError):
        said_in(config(adapter="openai"), {"results": [{"flagged": flagged, "category_scores": {}, "categories": {}}]})


def test_an_answer_of_openai_without_results_is_none() -> None:
    with pytest.raises(UnusableError):
        said_in(config(adapter="openai"), {"results": []})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=80),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["flagged", "score", "labels", "detail", "results", "breakdown", "categories",
                             "category_scores", "entity_type", "detected", "detector_type"]) | st.text(max_size=4),
            inner, max_size=5,
        )
    ),
    max_leaves=20,
)  # fmt: skip


@given(st.sampled_from(ADAPTERS), JSON)
def test_any_answer_is_read_within_bounds_or_is_unusable(adapter: Any, answer: Any) -> None:
    """Whoever answers may be taken over: what rules and records get of it has a type and a size."""
    try:
        said = said_in(config(adapter=adapter), answer)
    except UnusableError:
        return
    assert type(said["flagged"]) is bool
    assert type(said["score"]) is float
    assert len(said["labels"]) <= 32
    assert all(type(label) is str and len(label) <= 64 for label in said["labels"])
    assert len(said["detail"]) <= 256
