"""Which reads the gateway can make again itself, and what an answer to one proves."""

from __future__ import annotations

import pytest
from msgspec import structs

from gateway.coherence.again import LONGEST, again_of, condition_on, proves
from gateway.model import Answered, Call, Change, How, Learnt, Standing
from tests.builders import call, request, tool


def read(*fields: tuple[str, str], method: str = "GET", target: str = "/notes/a?v=1", **to: object) -> Call:
    return call(to=tool("notes", **to), of=request(method, f"/notes{target}", fields), target=target)


def answered(status: int = 200, *fields: tuple[bytes, bytes]) -> Answered:
    return Answered(status, 0.0, fields=fields)


VARIES = (b"Vary", b"Accept-Encoding, Accept, X-Tenant")


@pytest.mark.parametrize(
    ("made", "answer"),
    [
        (read(), answered()),
        (read(), answered(404)),
        (read(("If-None-Match", '"1"')), answered(304)),
        (read(("Accept", "*/*"), ("Accept-Encoding", "gzip")), answered(200, VARIES)),
        (read(("Accept", "text/plain")), answered()),
        (read(("Authorization", "Bearer x"), strip=frozenset({b"authorization"})), answered()),
    ],
)
def test_what_was_read_plainly_can_be_read_again(made: Call, answer: Answered) -> None:
    assert again_of(made, answer) == "notes /notes/a?v=1"


@pytest.mark.parametrize(
    ("made", "answer"),
    [
        (read(method="POST"), answered()),
        (read(method="HEAD"), answered()),
        (read(), answered(500)),
        (read(("Range", "bytes=0-1")), answered()),
        (read(("Authorization", "Bearer x")), answered()),
        (read(("Cookie", "a=b")), answered()),
        (read(("Accept", "text/plain")), answered(200, VARIES)),
        (read(("X-Tenant", "7")), answered(200, VARIES)),
        (read(), answered(200, (b"Vary", b"*"))),
        (read(target="/" + "a" * LONGEST), answered()),
        (read(preserve_host=True), answered()),
        (read(protocol="mcp"), answered()),
        (read(strip_query=frozenset({"key"})), answered()),
        (structs.replace(read(), body=b"{}"), answered()),
    ],
)
def test_what_depends_on_more_than_its_target_cannot(made: Call, answer: Answered) -> None:
    assert again_of(made, answer) == ""


def test_of_a_known_credential_of_the_agent_nothing_reached_the_store() -> None:
    made = read(("Authorization", "Bearer x"))
    known = structs.replace(made, agent=structs.replace(made.agent, credential=b"authorization"))
    assert again_of(known, answered()) == "notes /notes/a?v=1"


def stands(how: How = How.FOUND, **versions: str) -> Standing:
    return Standing((Change("one", how, versions=versions),))


@pytest.mark.parametrize(
    ("standing", "learnt", "proven"),
    [
        (stands(etag='"1"'), {"versions": {"etag": '"1"'}}, True),
        (stands(etag='"1"'), {"versions": {"etag": '"2"'}}, False),
        (stands(etag='"1"'), {"versions": {"digest": "x"}}, None),
        (stands(), {"versions": {"etag": '"1"'}}, None),
        (stands(etag='"1"'), {"gone": True}, False),
        (stands(How.DELETED), {"gone": True}, True),
        (stands(How.DELETED), {"versions": {"etag": '"1"'}}, False),
    ],
)
def test_only_evidence_of_one_kind_proves_anything(
    standing: Standing, learnt: dict[str, object], proven: bool | None
) -> None:
    assert proves(standing, Learnt(("notes", "a"), **learnt)) is proven


def test_the_condition_is_that_another_state_stands() -> None:
    assert condition_on(stands(etag='"1"', strong='"1"')) == ((b"If-None-Match", b'"1"'),)
    assert condition_on(stands(digest="x")) == ()
