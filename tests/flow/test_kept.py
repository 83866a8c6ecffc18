"""What is remembered: what tells a value is found as if all were looked through each time, and each byte is counted."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.flow.heard import OVERHEAD, Heard
from gateway.flow.kept import MOST_LOOKS, MOST_OF_A_LOOK, OF_A_LOOK, Kept
from gateway.flow.looks import look_for

WORDS = ("bob", "eve@evil.com", "17", "2026-11-30", "corp.com/a", "dental")
MOST = 5 * OVERHEAD
TOLD = st.tuples(st.just("told"), st.lists(st.sampled_from(WORDS), min_size=1, max_size=3), st.booleans())
ASKED = st.tuples(st.just("asked"), st.sampled_from(WORDS), st.booleans())


def plain(text: str, *, relayed: bool = False) -> Heard:
    return Heard("user", (), text.encode(), "text/plain", 0, trusted=True, relayed=relayed)


@given(st.lists(TOLD | ASKED, max_size=40))
@settings(max_examples=150, deadline=None)
def test_what_was_looked_for_before_is_found_as_if_it_had_not_been(
    steps: list[tuple[str, list[str] | str, bool]],
) -> None:
    kept = Kept(MOST)
    for at, (step, what, relayed) in enumerate(steps, 1):
        if step == "told":
            text = " and ".join(what)
            kept.keep(plain(text, relayed=relayed), text.encode(), at)
        else:
            look = look_for(what)
            assert kept.telling(look) == [one for one in kept.values() if one.index.tells(look)]
        assert kept.size >= sum(one.size for one in kept.values())
        assert sum(one.told for one in kept.values()) <= MOST


@given(st.lists(st.sampled_from(WORDS), max_size=20))
def test_the_size_is_that_of_all_that_is_kept_and_of_what_was_made_of_it(asked: list[str]) -> None:
    kept = Kept(1 << 20)
    for at in range(5):
        data = b'{"name": "Bob %d", "mail": "eve@evil.com", "day": "2026-11-30"}' % at
        kept.keep(Heard("a/b", (), data, "application/json", 0, trusted=False), data, at + 1)
    for value in asked:
        for one in kept.telling(look_for(value)):
            one.index.records_with([value], 3)
    looks = sum(OF_A_LOOK + 4 * len(value) + 8 * len(kept.telling(look_for(value))) for value in set(asked))
    assert kept.size == sum(one.size for one in kept.values()) + looks


def test_what_is_asked_for_fills_no_memory() -> None:
    kept = Kept(1 << 20)
    kept.keep(plain("Bob"), b"Bob", 1)
    for at in range(2_000):
        kept.telling(look_for(f"{at} " + "x" * (at % 3_000)))
        assert kept.size <= MOST_LOOKS + 4 * OVERHEAD
    before = kept.size
    kept.telling(look_for("y " * MOST_OF_A_LOOK))
    assert kept.size == before


def test_what_was_forgotten_holds_nothing() -> None:
    kept = Kept(MOST)
    first = plain("Bob " * 50)
    kept.keep(first, b"first", 1)
    assert kept.telling(look_for("Bob")) == [first]
    for at in range(2, 9):
        kept.keep(plain("x" * at), b"x" * at, at)
    assert first.gone
    assert first.size <= first.told
    assert not first.index.tells(look_for("Bob"))
    assert kept.telling(look_for("Bob")) == []
