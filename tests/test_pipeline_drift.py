"""What a run has read is asked for again before rules read what has changed: driven by hand, the store played."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from gateway.decide.shapes import NOTHING, Judgement
from gateway.model import Answered, CircuitClaim, CircuitSettings, Quarantine, Reason, Refusal, Seen
from gateway.pipeline import Send
from tests.coherence.maps import memory
from tests.drive import TOOL, Quota
from tests.test_pipeline_memory import Notes

SECTION = {
    "reads": [
        {"operations": ["GET /plan", "GET /note*", "GET /other"], "key": "request.path", "value": "result.text"},
        {"operations": ["GET /"], "entries": "result.items", "key": '"/" + entry.id', "value": "entry.text"},
    ],
    "writes": [{"operations": ["PUT *"], "key": "request.path"}],
}
CIRCUIT = CircuitClaim("breaker", ("tool",), CircuitSettings(5, 0.5, 30.0, 10, 5.0))


class Rules:
    """Some rule of the operation reads what has changed."""

    memories = frozenset({"notes"})

    def counts(self, call: Any) -> bool:
        return call.request.method == "POST"


class Store:
    """Implements ``ports.Revalidation``: each path has an answer, or none."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, str, bytes]] = {}
        self.asked: list[Any] = []
        self.known: set[tuple[str, tuple[str, str], str]] = set()

    def fresh(self, agent: str, place: tuple[str, str], change: str) -> bool:
        return (agent, place, change) in self.known

    def verified(self, agent: str, place: tuple[str, str], change: str) -> None:
        self.known.add((agent, place, change))

    async def ask(self, errands: Any) -> Any:
        self.asked += [errand.call for errand in errands]
        return [self._answer(errand.call) for errand in errands]

    def _answer(self, call: Any) -> Any:
        if call.target not in self.answers:
            return None
        status, tag, body = self.answers[call.target]
        if tag and call.request.header(b"if-none-match") == tag:
            status, body = 304, b""
        fields = ((b"ETag", tag.encode()),) if tag else ()
        return Answered(status, 0.0, "application/json", fields=fields), body


class Bank(Notes):
    """Where what was read of notes is paid by."""

    def __init__(self, check: Any = NOTHING, quotas: tuple[Any, ...] = ()) -> None:
        super().__init__()
        self.store = Store()
        street = self.drive.pipeline.streets[TOOL.name]
        mapped = memory(SECTION)
        checks = (check if hasattr(check, "judge") else _Says(check), *street.checks)
        street = structs.replace(
            street, memory=mapped, drift=Rules(), checks=checks, quotas=quotas, admitting=checks[:1]
        )
        self.drive.pipeline = structs.replace(self.drive.pipeline, streets={TOOL.name: street}, revalidation=self.store)

    def look(self, agent: str, path: str, tag: str, body: bytes) -> None:
        """The agent reads it, and time passes."""
        assert isinstance(self.begin(agent, "GET", path), Send)
        fields = ((b"ETag", tag.encode()),) if tag else ()
        effect = self.drive.answer(Answered(200, 0.1, content_type="application/json", fields=fields))
        effect.through.feed(body)
        effect.through.end()
        self.store.answers[path] = (200, tag, body)
        self.now += 5

    def pay(self, agent: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What has changed, and what is not known, as its rules read it."""
        sent = self.begin(agent, "POST", "/pay")
        assert isinstance(sent, Send), sent
        return sent.permit.call.drift, sent.permit.call.unverified


class _Says:
    def __init__(self, judgement: Judgement) -> None:
        self.judgement = judgement

    def judge(self, call: Any) -> Judgement:
        return self.judgement


NOTHING_SAID = _Says(NOTHING)


@pytest.fixture
def bank() -> Bank:
    made = Bank()
    made.look("ann", "/plan", '"1"', b'{"text": "x"}')
    return made


def test_a_state_that_still_stands_is_asked_for_once_a_second(bank: Bank) -> None:
    assert bank.pay("ann") == ((), ())
    assert bank.pay("ann") == ((), ())
    (asked,) = bank.store.asked
    assert (asked.target, asked.agent.id, asked.request.header(b"if-none-match")) == ("/plan", "ann", '"1"')


def test_what_was_read_just_now_is_not_asked_for(bank: Bank) -> None:
    bank.now -= 4.5
    assert bank.pay("ann") == ((), ())
    assert bank.store.asked == []


def test_of_many_so_many_are_asked_for_and_the_others_next_time() -> None:
    bank = Bank()
    for number in range(18):
        bank.look("ann", f"/note-{number}", '"1"', b'{"text": "x"}')
    assert bank.pay("ann") == ((), ("notes//note-16", "notes//note-17"))
    assert bank.pay("ann") == ((), ())
    assert len(bank.store.asked) == 18


def test_what_was_changed_past_the_gateway_has_changed_for_all(bank: Bank) -> None:
    bank.look("bob", "/plan", '"1"', b'{"text": "x"}')
    bank.store.answers["/plan"] = (200, '"2"', b'{"text": "y"}')
    assert bank.pay("ann") == (("notes//plan",), ())
    assert bank.pay("bob") == (("notes//plan",), ())
    assert len(bank.store.asked) == 1, "what is known to have changed is not asked for"
    bank.look("ann", "/plan", '"2"', b'{"text": "y"}')
    assert bank.pay("ann") == ((), ())


def test_the_run_has_not_seen_what_the_gateway_has(bank: Bank) -> None:
    """Its write is stale all the same."""
    bank.store.answers["/plan"] = (200, '"2"', b'{"text": "y"}')
    bank.pay("ann")
    refused = bank.begin("ann", "PUT", "/plan", "z")
    assert refused.status == 412


@pytest.mark.parametrize("answer", [None, (500, "", b""), (403, "", b""), (200, "", b'{"text": "x"}')])
def test_what_cannot_be_told_is_not_known(bank: Bank, answer: Any) -> None:
    """Also where the answer has evidence of another kind only."""
    bank.store.answers.pop("/plan")
    if answer is not None:
        bank.store.answers["/plan"] = answer
    assert bank.pay("ann") == ((), ("notes//plan",))
    assert bank.pay("ann") == ((), ("notes//plan",)), "it proves no more the second time"


def test_what_is_gone_has_changed(bank: Bank) -> None:
    bank.store.answers["/plan"] = (404, "", b"")
    assert bank.pay("ann") == (("notes//plan",), ())


def test_a_list_tells_of_all_that_the_run_has_seen_in_it() -> None:
    bank = Bank()
    bank.look(
        "ann", "/", "", b'{"items": [{"id": "a", "text": "1"}, {"id": "b", "text": "1"}, {"id": "c", "text": "1"}]}'
    )
    bank.store.answers["/"] = (200, "", b'{"items": [{"id": "a", "text": "1"}, {"id": "b", "text": "2"}]}')
    assert bank.pay("ann") == (("notes//b",), ("notes//c",))
    assert len(bank.store.asked) == 1


def test_calls_that_no_such_rule_is_about_ask_for_nothing(bank: Bank) -> None:
    bank.begin("ann", "GET", "/other")
    assert bank.store.asked == []


class Refuses:
    """Refuses calls of one method."""

    def __init__(self, method: str) -> None:
        self.method = method

    def judge(self, call: Any) -> Judgement:
        refused = call.request.method == self.method
        return Judgement(Refusal(Reason.POLICY_DENIED, 403, "no")) if refused else NOTHING


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_nothing_is_asked_for_a_call_that_is_refused_anyway_nor_for_who_may_not_read_it_any_more(
    bank: Bank, method: str
) -> None:
    street = bank.drive.pipeline.streets[TOOL.name]
    street = structs.replace(street, admitting=(Refuses(method),), checks=(NOTHING_SAID,))
    bank.drive.pipeline = structs.replace(bank.drive.pipeline, streets={TOOL.name: street})
    assert bank.pay("ann") == ((), () if method == "POST" else ("notes//plan",))
    assert bank.store.asked == []


def test_a_quarantine_of_the_store_keeps_the_gateway_from_it_too(bank: Bank) -> None:
    bank.drive.pipeline = structs.replace(bank.drive.pipeline, quarantines=Closed())
    assert bank.pay("ann") == ((), ("notes//plan",))
    assert bank.store.asked == []


class Closed:
    """A quarantine of what is read by GET."""

    def standing(self, call: Any) -> Any:
        wanted = call.request.method == "GET"
        return Quarantine("tool", ("bank",), "closed", "ops", 0.0) if wanted else None


def test_nothing_is_sent_past_a_breaker() -> None:
    bank = Bank(quotas=(Quota(CIRCUIT),))
    bank.look("ann", "/plan", '"1"', b'{"text": "x"}')
    bank.drive.world.look = lambda claims, now: tuple(structs.replace(hold, granted=False) for hold in _held(claims))
    assert bank.pay("ann") == ((), ("notes//plan",))
    assert bank.store.asked == []


def _held(claims: Any) -> Any:
    from gateway.model import Hold

    return [Hold(claim, True) for claim in claims]


def test_a_tool_that_is_not_there_any_more_is_not_asked(bank: Bank) -> None:
    book = bank.book
    seen = book._seen.use(("ann", "run-ann"))
    assert seen is not None
    for place, what in seen.items():
        seen[place] = Seen(what.change, what.at, what.whole, "gone /plan")
    assert bank.pay("ann") == ((), ("notes//plan",))


def test_it_is_in_the_record_of_the_call_that_caused_it(bank: Bank) -> None:
    from gateway.observe.recalled import kind_of, recalled

    bank.pay("ann")
    bank.end(1)
    assert [(one["key"], one["does"], one["came_of"]) for one in recalled(bank.last)] == [
        ("/plan", "revalidate", "verified")
    ]
    assert kind_of(bank.last) is None
