"""No policy text and no call crashes or hangs the engines, or makes an allow of an error."""

from __future__ import annotations

import faulthandler
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway.config.load import attempt
from gateway.decide.rules import Rules, judgement_of
from gateway.errors import Problem
from gateway.model import Call, Mode, Reason, Verdict
from gateway.policy.changes import ways
from gateway.policy.engine import CelEngine, CelError, EvaluationError, Program
from gateway.policy.rules import CompiledRule, RuleSet
from gateway.policy.subexpressions import Dissection
from gateway.policy.variables import TYPES, bind, binder
from tests.fuzz.policy_grammar import (
    FILES,
    REAL,
    calls,
    conditions,
    expressions,
    files,
    shared_arguments,
    shared_conditions,
)
from tests.policy.support import CPP, PYTHON, book_of, call_to, policy

ENGINES = pytest.mark.parametrize("engine", [CPP, PYTHON], ids=lambda engine: engine.name)
HANG = 300
"""Seconds after which a test that hangs, even within an engine, ends the run with a traceback."""
fuzzed = settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(autouse=True)
def _no_hang(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    with capfd.disabled():
        told = os.fdopen(os.dup(2), "w")
    with told:
        faulthandler.dump_traceback_later(HANG, exit=True, file=told)
        yield
        faulthandler.cancel_dump_traceback_later()


def compiled(engine: CelEngine, source: str) -> Program | None:
    try:
        return engine.compile(source, TYPES)
    except CelError as error:
        assert error.message
        assert error.line >= 1
        assert error.column >= 1
        return None


def outcome(program: Program, call: Call, engine: CelEngine) -> Any:
    """The value, or the error as an EvaluationError."""
    try:
        return program.evaluate(engine.activation(bind(binder(program.references), call)))
    except EvaluationError as error:
        assert error.message
        return error


@ENGINES
@fuzzed
@given(source=expressions, call=calls())
def test_any_text_is_compiled_or_refused_and_then_has_a_value_or_an_error(
    engine: CelEngine, source: str, call: Call
) -> None:
    program = compiled(engine, source)
    if program is None:
        return
    activation = engine.activation(bind(binder(program.references), call))
    assert program.is_false(activation) is (outcome(program, call, engine) is False)


def rule_of(number: int, program: Program, verdict: Verdict, ignore: bool) -> CompiledRule:
    return CompiledRule("fuzz", f"r{number}", program.source, program, verdict, ignore=ignore)


@ENGINES
@fuzzed
@given(
    rules=st.lists(
        st.tuples(conditions, st.sampled_from([Verdict.DENY, Verdict.APPROVE, Verdict.WARN]), st.booleans()), max_size=5
    ),
    call=calls(),
)
def test_rules_together_say_what_each_says_alone_and_an_error_refuses(
    engine: CelEngine, rules: list[tuple[str, Verdict, bool]], call: Call
) -> None:
    programs = [(compiled(engine, when), verdict, ignore) for when, verdict, ignore in rules]
    made = [rule_of(n, program, verdict, ignore) for n, (program, verdict, ignore) in enumerate(programs) if program]
    spoke = {said.rule: said for said in RuleSet(made, engine).judge(call)}
    for rule in made:
        alone = outcome(rule.program, call, engine)
        said = spoke.pop(rule.name, None)
        if alone is False:
            assert said is None
            continue
        assert said is not None
        if alone is True:
            assert (said.verdict, said.error) == (rule.verdict, "")
        else:
            assert said.error
            assert said.verdict is (Verdict.WARN if rule.ignore else Verdict.DENY)
            if not rule.ignore:
                refusal = judgement_of((said,)).refusal
                assert refusal is not None
                assert refusal.reason is Reason.POLICY_ERROR
    assert not spoke


@ENGINES
@fuzzed
@given(when=expressions, call=calls())
@example(when="args", call=call_to(args={}))
@example(when="args.n > 1", call=call_to(args={"n": "text"}))
@example(when="args.s == 'a'", call=call_to(args={"s": "a\0b"}))
def test_a_condition_that_is_not_false_never_lets_a_call_through(engine: CelEngine, when: str, call: Call) -> None:
    program = compiled(engine, when)
    if program is None or program.type.name not in ("bool", "dyn"):
        return
    judged = Rules(book_of(policy("fuzz", when), engine=engine)).judge(call)
    assert (judged.refusal is None) is (outcome(program, call, engine) is False)
    assert all(said.mode is Mode.ENFORCE for said in judged.spoke)


@fuzzed
@given(when=shared_conditions, args=shared_arguments)
def test_both_engines_say_the_same_of_what_both_know(when: str, args: dict[str, Any]) -> None:
    call = call_to(args=args)
    default, other = compiled(CPP, when), compiled(PYTHON, when)
    assert (default is None) is (other is None)
    if default is None or other is None:
        return
    one, two = outcome(default, call, CPP), outcome(other, call, PYTHON)
    if isinstance(one, EvaluationError) or isinstance(two, EvaluationError):
        assert isinstance(one, EvaluationError)
        assert isinstance(two, EvaluationError)
    else:
        assert one == two


@ENGINES
@fuzzed
@given(source=expressions, call=calls())
def test_any_condition_is_taken_apart_without_becoming_another(engine: CelEngine, source: str, call: Call) -> None:
    program = compiled(engine, source)
    if program is None:
        return
    activation = engine.activation(bind(binder(program.references), call))
    whole = Dissection(engine, TYPES, {}, activation).of(source)
    alone = outcome(program, call, engine)
    if isinstance(alone, EvaluationError):
        assert whole.error == alone.message
    else:
        assert (whole.error, repr(whole.value)) == ("", repr(alone))
    for changes in (*ways(whole, True), *ways(whole, False)):
        assert all(change.part.error or change.part.value is not change.wanted for change in changes)


CONFIG = "tools: {bank: {url: 'http://127.0.0.1:1'}, notes: {url: 'http://127.0.0.1:1'}}\npolicies: ./policies\n"


@fuzzed
@given(text=files)
@example(text=FILES[0])
@example(text="a: &a [*a]\n")
@example(text="? [a]\n: b\n")
@example(text="\ufeffkind: Policy\0")
def test_any_policy_file_is_loaded_or_refused_with_places(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder: Path = tmp_path_factory.mktemp("files")
    (folder / "policies").mkdir()
    (folder / "config.yaml").write_text(CONFIG)
    (folder / "policies" / "p.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
    made = attempt(folder / "config.yaml")
    problems: list[Problem] = [*made.errors, *made.warnings]
    assert (made.loaded is None) is bool(made.errors)
    assert all(problem.message and problem.line >= 0 for problem in problems)


def test_the_conditions_that_are_damaged_are_those_of_the_shipped_policies() -> None:
    assert len(REAL) > 10
    assert all(compiled(CPP, when) or "variables." in when or "result" in when or "proposal" in when for when in REAL)
