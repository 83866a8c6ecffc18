"""Answers of models on their way through a judge, as the pipeline would send them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from gateway.model import Answered, Findings, Proposal, Reason, Refusal, Spoke
from gateway.understand.dialect import Asked, Endpoint
from gateway.understand.llm_answers import answer_of
from gateway.understand.llm_exchange import Exchange
from gateway.understand.reader import Answer


class Refusing:
    """A judge that refuses what is proposed under these names. Without names, it looks at nothing."""

    spoke: tuple[Spoke, ...] = ()
    fields: tuple[str, ...] = ()

    def __init__(self, *names: str, wants_result: bool = False) -> None:
        self.reads_result = False
        self.reads_proposals = bool(names)
        self.wants_result = wants_result
        self.compares = False
        self._names = names

    def proposal(self, proposal: Proposal) -> Refusal | None:
        if proposal.name not in self._names:
            return None
        return Refusal(Reason.POLICY_DENIED, 403, "not this one", "tools/no")

    def result(self, status: int, found: Findings) -> Refusal | None:
        return None

    def lists(self, operation: str, facts: Any) -> bool:
        raise AssertionError("models have no lists")


SAID = "[call of {} refused by policy tools/no: not this one]"
"""What stands in the place of a refused proposal."""


def answering(endpoint: Endpoint, judge: Refusing, kind: str, sent: bytes = b"{}") -> Answer:
    """The answer of a media type to a request of these bytes."""
    asked = Asked("asked-model", stream=kind == "text/event-stream")
    return answer_of(Exchange(endpoint, asked, sent, sent, Answered(200, 0.0, kind)), judge)


def passed(answer: Answer, pieces: Iterable[bytes]) -> bytes:
    """What the agent gets of an answer that comes in these pieces."""
    return b"".join([*[answer.feed(piece) for piece in pieces], answer.end()])


def streamed(endpoint: Endpoint, pieces: Sequence[bytes], *refused: str) -> tuple[bytes, Findings]:
    """What the agent gets of a stream, and what was found in it."""
    answer = answering(endpoint, Refusing(*refused), "text/event-stream")
    got = passed(answer, pieces)
    return got, answer.found()


def whole(endpoint: Endpoint, body: Any, *refused: str) -> tuple[Any, Findings]:
    """What the agent gets of a JSON answer, and what was found in it."""
    answer = answering(endpoint, Refusing(*refused), "application/json")
    got = passed(answer, [json.dumps(body).encode()])
    return json.loads(got), answer.found()


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """Bytes cut at these places."""
    at = [0, *sorted({place % (len(data) + 1) for place in places}), len(data)]
    return [data[start:end] for start, end in pairwise(at)]
