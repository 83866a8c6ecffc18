"""The default engine passes CEL's own conformance cases, but for a list that is kept exact.

An expected error may also be found when the expression is compiled: the seam looks for mistakes early.
"""

from __future__ import annotations

from collections import Counter

import pytest

from tests.policy.conformance.cases import CORE, NANOSECONDS, Case, cases, folder
from tests.policy.conformance.running import MESSAGES, UNCHECKED, alike, plain, run
from tests.policy.conformance.textproto import parse

KNOWN_FAILURES = {
    "fields/qualified_identifier_resolution/qualified_identifier_resolution_unchecked": (
        "an expression that was not type-checked looks for a, not for a.b.c; policies are always checked"
    ),
    "fields/qualified_identifier_resolution/map_value_repeat_key_heterogeneous": (
        "{0: 1, 0u: 2} has one key twice, and the engine takes the first instead of failing"
    ),
}
LEFT_OUT = {MESSAGES: 70, NANOSECONDS: 1}
PAST_THE_SEAM = {UNCHECKED: 62}
ALL = 1178

needs_cases = pytest.mark.skipif(
    not (folder() / "basic.textproto").is_file(),
    reason=f"cel-spec's cases are not at {folder()}; name their folder in TOOLGATE_CEL_SPEC",
)


@needs_cases
@pytest.mark.parametrize("file", CORE)
def test_the_default_engine_passes_all_but_the_known_failures(file: str) -> None:
    failures = {case.name: failure for case in cases(file) if (failure := run(case).failure)}
    unexpected = [f"{name}: {failure}" for name, failure in failures.items() if name not in KNOWN_FAILURES]
    passing = [name for name in KNOWN_FAILURES if name.startswith(f"{file}/") and name not in failures]
    assert not unexpected, "\n".join(unexpected)
    assert not passing, f"no longer fails; take it off the list: {passing}"


@needs_cases
def test_as_many_cases_as_are_said_go_through_the_seam_past_it_and_are_left_out() -> None:
    ran = [run(case) for file in CORE for case in cases(file)]
    assert Counter(one.why for one in ran if one.way == "out") == LEFT_OUT
    assert Counter(one.why for one in ran if one.way == "engine") == PAST_THE_SEAM
    assert len(ran) == ALL


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1 b: -2.5 # c", {"a": ["1"], "b": ["-2.5"]}),
        ("a { b: 'x' \"y\" } a < b: inf >", {"a": [{"b": [b"xy"]}, {"b": ["inf"]}]}),
        ("a: [1, 2]; [type.googleapis.com/x.Y] { }", {"a": ["1", "2"], "[type.googleapis.com/x.Y]": [{}]}),
        (r"""a: '\n\101\x41\u00e9\'\?'""", {"a": [b"\nAA\xc3\xa9'?"]}),
    ],
)
def test_the_text_format_is_read(text: str, message: dict[str, list[object]]) -> None:
    assert parse(text) == message


@pytest.mark.parametrize("text", ["a: ", "a { b: 1", "{ }", "a: 'x", "a: 1 }"])
def test_what_is_not_the_text_format_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="line 1: expected"):
        parse(text)


def case_of(text: str) -> Case:
    message = parse(text)
    return Case("a/b/c", message["expr"][0].decode(), "disable_check" not in message, "", message)


@pytest.mark.parametrize(
    "text",
    [
        "expr: '1 + 1' value { int64_value: 3 }",
        "expr: '1' value { uint64_value: 1 }",
        "expr: 'dyn(1)' value { uint64_value: 1 }",
        "expr: '1.0' value { int64_value: 1 }",
        "expr: '0.0' value { double_value: -0.0 }",
        "expr: '[1]' value { list_value { values { int64_value: 1 } values { int64_value: 1 } } }",
        "expr: 'type(1)' value { type_value: 'uint' }",
        "expr: '1' eval_error { }",
        "expr: '1 / 0' value { int64_value: 0 }",
        "expr: 'false'",
        "expr: '1' disable_check: true value { uint64_value: 1 }",
        "expr: '1' disable_check: true eval_error { }",
        "expr: 'x' disable_check: true value { bool_value: true }",
    ],
)
def test_a_case_that_does_not_hold_fails(text: str) -> None:
    assert run(case_of(text)).failure


def test_not_a_number_is_like_itself() -> None:
    nan = case_of("expr: '0.0 / 0.0' value { double_value: nan }")
    assert nan.expected is not None
    assert alike(plain(nan.expected), nan.expected)
    assert run(nan).failure == ""
