"""Whatever a tool answers, in whatever pieces: an answer that is gathered arrives whole, or a refusal does."""

from __future__ import annotations

import itertools

import h11
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.grammar import answers as tool_answers
from tests.fuzz.grammar import damaged
from tests.wire.rig import GET, answers, rig_of
from tests.wire.test_answers import LIMIT, Reads, reading

CUTS = st.lists(st.integers(0, 200), max_size=5)
quick = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))


def heard_of(called, data: bytes, cuts: list[int]) -> bytes:
    """What the agent reads when the tool says this in these pieces and hangs up."""
    called.agent.says(GET)
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    called.tool.says(*[data[start:end] for start, end in itertools.pairwise(edges)])
    called.tool.goes()
    return called.agent.heard()


def read(heard: bytes):
    """The one answer, or None where it is not a whole one, or more than one."""
    try:
        (answer,) = answers(heard, ["GET"])
    except (h11.RemoteProtocolError, AssertionError):
        return None
    return answer[0], answer[2]


@quick
@given(damaged(tool_answers()), CUTS)
def test_a_gathered_answer_is_the_one_that_would_have_passed_or_a_refusal(data, cuts):
    heard = heard_of(reading(Reads(whole=True, upper=False), tools=2), data, cuts)
    gathered, plain = read(heard), read(heard_of(rig_of(tools=2), data, cuts))
    if not heard:  # nothing came, so it is asked once more: nobody answers that here
        assert plain is None
        return
    assert gathered is not None, "half an answer"
    if plain is None or len(plain[1]) > LIMIT:
        assert gathered[0] == 502
    else:
        assert gathered == plain


@quick
@given(damaged(tool_answers()), CUTS, CUTS)
def test_how_an_answer_is_cut_does_not_matter(data, cuts, others):
    one, other = (read(heard_of(reading(Reads(whole=True), tools=2), data, pieces)) for pieces in (cuts, others))
    assert one == other
