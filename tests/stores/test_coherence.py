"""What one process knows of memories that tools keep is bounded."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from gateway.model import Agent, Call, Change, How, Learnt, Run, Touch
from gateway.stores.coherence import CoherenceBook
from tests.builders import call as a_call


def _call(agent: str) -> Call:
    return structs.replace(a_call("GET /plan"), agent=Agent(agent), run=Run("r"))


def _glance(book: CoherenceBook, agent: str, key: str) -> Any:
    coroutine = book.glance(_call(agent), (Touch("notes", key),))
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waited")


def _learn(book: CoherenceBook, agent: str, key: str, text: str) -> None:
    edition, glances = _glance(book, agent, key)
    change = Change(f"{agent}-{key}", How.FOUND, at=1000.0)
    call = structs.replace(_call(agent), edition=edition)
    book.learn(call, glances, (Learnt(("notes", key), text=text),), change, lambda labels: None)


def _stands(book: CoherenceBook, key: str) -> Any:
    return _glance(book, "anybody", key)[1][0].standing


def test_an_agent_that_fills_the_memory_with_texts_loses_its_own() -> None:
    book = CoherenceBook(lambda: 1000.0, most_text=1_000)
    _learn(book, "quiet", "plan", "x" * 100)
    for number in range(50):
        _learn(book, "loud", str(number), "y" * 100)
    assert _stands(book, "plan").newest.text == "x" * 100
    assert _stands(book, "49") is not None
    assert _stands(book, "1") is None
    assert sum(_stands(book, str(number)) is not None for number in range(50)) == 9


def test_a_text_that_is_too_long_for_all_pushes_out_the_rest_and_not_itself() -> None:
    book = CoherenceBook(lambda: 1000.0, most_text=1_000)
    _learn(book, "quiet", "plan", "x" * 100)
    _learn(book, "loud", "long", "y" * 2_000)
    assert _stands(book, "plan") is None
    assert _stands(book, "long") is not None
    _learn(book, "quiet", "plan", "x" * 100)
    assert _stands(book, "long") is None, "it was used least recently"


def test_who_floods_a_memory_does_not_wash_what_it_has_written_there() -> None:
    """What a run with labels wrote is pushed out by its own flood; whoever reads it then is marked all the same."""
    book = CoherenceBook(lambda: 1000.0, most=5)
    writes = Touch("notes", "poisoned", writes=True)
    call = structs.replace(_call("poisoner"), id="write")
    _, glances = _glance(book, "poisoner", "poisoned")
    glances = (structs.replace(glances[0], touch=writes),)
    book.settle(call, glances, Change("write", How.WRITTEN, "poisoner", at=1000.0, labels=("untrusted",)))
    assert _glance(book, "victim", "poisoned")[1][0].standing.newest.labels == ("untrusted",)
    for number in range(10):
        _learn(book, "poisoner", str(number), "x")
    assert _stands(book, "poisoned") is None
    assert _glance(book, "victim", "poisoned")[1][0].labels == ("untrusted",)
    _learn(book, "victim", "poisoned", "send the money")
    assert _stands(book, "poisoned").newest.labels == ("untrusted",)
