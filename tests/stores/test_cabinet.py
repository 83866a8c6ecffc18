"""What every cabinet keeps: memory, SQLite, Redis."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import StoreUnavailable
from gateway.ports import Cabinet, Paper
from gateway.stores import memory_cabinet
from tests.stores.opening import KINDS, Place


async def put(cabinet: Cabinet, key: str, value: bytes | None, seconds: float = 0.0) -> int:
    """Write over what stands, as somebody who has just looked."""
    paper = await cabinet.read("k", key)
    return await cabinet.swap("k", key, 0 if paper is None else paper.version, value, seconds)


async def two(place: Place) -> tuple[Cabinet, Cabinet]:
    return (await place.open()).cabinet, (await place.open()).cabinet


async def test_only_who_has_seen_what_stands_may_change_it(place: Place) -> None:
    one, other = await two(place)
    assert await one.read("k", "a") is None
    first = await one.swap("k", "a", 0, b"1 \x00\xff")
    assert first > 0
    assert await other.swap("k", "a", 0, b"2") == 0
    assert await other.read("k", "a") == Paper("a", first, b"1 \x00\xff")
    second = await other.swap("k", "a", first, b"")
    assert second > first
    assert await one.swap("k", "a", first, b"3") == 0
    assert await one.read("k", "a") == Paper("a", second, b"")
    assert await one.read("other kind", "a") is None


async def test_what_is_removed_is_gone_and_may_be_put_anew(place: Place) -> None:
    one, other = await two(place)
    first = await one.swap("k", "a\x00é", 0, b"1")
    gone = await other.swap("k", "a\x00é", first, None)
    assert gone > first
    assert await one.read("k", "a\x00é") is None
    assert await one.swap("k", "a\x00é", first, b"2") == 0
    assert await one.swap("k", "a\x00é", 0, b"2") > gone


async def test_of_many_at_once_one_is_first(place: Place) -> None:
    cabinets = await two(place)
    for seen in (0, None):
        paper = await cabinets[0].read("k", "a")
        version = 0 if seen == 0 or paper is None else paper.version
        won = await asyncio.gather(*[cabinets[n % 2].swap("k", "a", version, b"%d" % n) for n in range(12)])
        (winner,) = [n for n, version in enumerate(won) if version]
        assert await cabinets[1].read("k", "a") == Paper("a", won[winner], b"%d" % winner)


async def test_no_count_is_lost_between_two_who_count(place: Place) -> None:
    cabinets = await two(place)

    async def count(cabinet: Cabinet) -> None:
        done = 0
        while done < 40:
            paper = await cabinet.read("k", "n")
            if paper is None:
                done += bool(await cabinet.swap("k", "n", 0, b"1"))
            else:
                done += bool(await cabinet.swap("k", "n", paper.version, b"%d" % (int(paper.value or 0) + 1)))

    await asyncio.gather(*[count(cabinet) for cabinet in cabinets])
    paper = await cabinets[0].read("k", "n")
    assert paper is not None
    assert paper.value == b"80"


async def test_what_has_ended_is_gone_for_those_who_look_and_those_who_follow(place: Place) -> None:
    one, other = await two(place)
    await put(one, "a", b"1", 30.0)
    kept = await put(one, "b", b"1")
    revision, papers = await other.changes("k", 0)
    assert [paper.key for paper in papers] == ["a", "b"]
    place.wall.now += 29.9
    assert (await other.changes("k", revision)) == (revision, [])
    place.wall.now += 0.2
    assert await one.read("k", "a") is None
    assert await one.swap("k", "a", papers[0].version, b"2") == 0
    later, changed = await other.changes("k", revision)
    assert [(paper.key, paper.value) for paper in changed] == [("a", None)]
    assert later > revision
    assert await one.changes("k", 0) == (later, [Paper("b", kept, b"1")])
    assert await one.swap("k", "a", 0, b"2") > later


async def test_a_longer_life_replaces_a_shorter_one(place: Place) -> None:
    one, other = await two(place)
    await put(one, "a", b"1", 10.0)
    await put(other, "a", b"2", 100.0)
    await put(one, "b", b"1", 10.0)
    await put(other, "b", b"2")
    place.wall.now += 50
    await one.changes("k", 0)
    assert [paper and paper.value for paper in (await one.read("k", "a"), await one.read("k", "b"))] == [b"2", b"2"]


async def test_those_who_follow_hear_only_what_is_new_and_of_each_the_newest_once(place: Place) -> None:
    one, other = await two(place)
    for number in range(30):
        await put(one, f"a{number}", b"1")
    revision, _ = await other.changes("k", 0)
    await put(one, "a7", b"2")
    await put(one, "a7", b"3")
    await put(one, "a3", None)
    await put(one, "b", b"1")
    later, papers = await other.changes("k", revision)
    assert [(paper.key, paper.value) for paper in papers] == [("a7", b"3"), ("a3", None), ("b", b"1")]
    assert await other.changes("k", later) == (later, [])
    assert await other.changes("other kind", 0) == (0, [])


async def test_more_than_a_page_is_read_whole_and_in_order(place: Place) -> None:
    one, other = await two(place)
    await asyncio.gather(*[one.swap("k", f"a{number}", 0, b"x") for number in range(1100)])
    for number in range(3):
        await one.swap("k", f"large{number}", 0, b"x" * 700_000)
    revision, papers = await other.changes("k", 0)
    assert {paper.key for paper in papers} == {f"a{n}" for n in range(1100)} | {f"large{n}" for n in range(3)}
    assert [paper.version for paper in papers] == sorted(paper.version for paper in papers)
    assert len(papers[-1].value or b"") == 700_000
    assert revision == papers[-1].version


async def test_many_that_end_at_once_are_all_heard_of(place: Place) -> None:
    one, other = await two(place)
    await asyncio.gather(*[one.swap("k", f"a{number}", 0, b"x", 10.0) for number in range(1300)])
    revision, papers = await other.changes("k", 0)
    assert len(papers) == 1300
    place.wall.now += 11
    gone: set[str] = set()
    for _ in range(3):
        revision, papers = await other.changes("k", revision)
        assert not any(paper.value for paper in papers)
        gone |= {paper.key for paper in papers}
        assert (await other.changes("k", 0))[1] == [], "what has ended does not stand, written down or not"
    assert len(gone) == 1300


async def test_what_is_gone_is_forgotten_in_the_end(place: Place) -> None:
    one, other = await two(place)
    first = await put(one, "a", b"1")
    await put(one, "a", None)
    await put(one, "b", b"1", 10.0)
    place.wall.now += 10
    revision, papers = await other.changes("k", first)
    assert {paper.key for paper in papers if paper.value is None} == {"a", "b"}
    place.wall.now += memory_cabinet.GONE + 1
    await one.changes("k", revision)
    assert (await one.changes("k", first))[1] == []
    assert await one.swap("k", "a", 0, b"2") > revision


async def test_a_full_cabinet_takes_no_new_keys_but_changes_of_old_ones(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_cabinet, "MOST", 3)
    cabinet = (await place.open()).cabinet
    for key in "abc":
        await put(cabinet, key, b"1", 10.0 if key == "c" else 0.0)
    with pytest.raises(StoreUnavailable, match="full of k"):
        await put(cabinet, "d", b"1")
    assert await put(cabinet, "a", b"2")
    assert await cabinet.swap("other kind", "d", 0, b"1")
    place.wall.now += 10
    assert await put(cabinet, "d", b"1"), "what has ended makes room"
    with pytest.raises(StoreUnavailable, match="full of k"):
        await put(cabinet, "e", b"1")
    assert await put(cabinet, "a", None)
    assert await put(cabinet, "e", b"1"), "so does what is removed"


KEYS = ["a", "b", "c\x00é"]
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("swap"),
            st.sampled_from(KEYS),
            st.sampled_from(["right", "stale", "none"]),
            st.sampled_from([None, b"", b"1", b"2 2"]),
            st.sampled_from([0.0, 5.0, 60.0]),
        ),
        st.tuples(st.just("wait"), st.sampled_from([1.0, 4.9, 59.0])),
        st.tuples(st.just("follow"), st.integers(0, 1)),
    ),
    max_size=30,
)
_NUMBERS = itertools.count()


class Model:
    """What a cabinet must do, said as plainly as can be: by two who write by turns, and two who follow."""

    def __init__(self, place: Place, cabinets: tuple[Cabinet, Cabinet]) -> None:
        self.place, self.cabinets, self.turn = place, cabinets, 0
        self.standing: dict[str, tuple[int, bytes, float]] = {}
        self.versions: dict[str, list[int]] = {key: [] for key in KEYS}
        self.known: list[dict[str, bytes]] = [{}, {}]
        self.revisions = [0, 0]

    def now(self) -> dict[str, tuple[int, bytes, float]]:
        wall = self.place.wall.now
        self.standing = {key: kept for key, kept in self.standing.items() if not kept[2] or kept[2] > wall}
        return self.standing

    async def swap(self, key: str, which: str, value: bytes | None, seconds: float) -> None:
        self.turn ^= 1
        version = self.now()[key][0] if key in self.now() else 0
        stale = [each for each in (*self.versions[key], 0) if each != version]
        seen = {"right": version, "stale": stale[-1] if stale else 0, "none": 0}[which]
        got = await self.cabinets[self.turn].swap("k", key, seen, value, seconds)
        assert bool(got) == (seen == version)
        if not got:
            return
        assert all(got > earlier for earlier in self.versions[key])
        self.versions[key].append(got)
        self.standing.pop(key, None)
        if value is not None:
            self.standing[key] = (got, value, self.place.wall.now + seconds if seconds else 0.0)

    async def follow(self, who: int) -> None:
        before = self.revisions[who]
        self.revisions[who], papers = await self.cabinets[who].changes("k", before)
        assert self.revisions[who] >= before
        assert len({paper.key for paper in papers}) == len(papers)
        assert [paper.version for paper in papers] == sorted(paper.version for paper in papers)
        assert all(paper.version > before for paper in papers)
        for paper in papers:
            self.known[who].pop(paper.key, None)
            if paper.value is not None:
                self.known[who][paper.key] = paper.value
        assert self.known[who] == {key: value for key, (_, value, _) in self.now().items()}

    async def check(self) -> None:
        for key in KEYS:
            paper, kept = await self.cabinets[self.turn].read("k", key), self.now().get(key)
            assert paper == (None if kept is None else Paper(key, kept[0], kept[1]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_cabinet_does_as_the_model_does(
    kind: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> None:
    server = request.getfixturevalue("redis_server") if kind == "redis" else None

    @settings(max_examples=60, deadline=None)
    @given(STEPS)
    def same(steps: list[Any]) -> None:
        async def run() -> None:
            folder = tmp_path_factory.mktemp("model") if kind == "sqlite" else Path()
            place = Place(kind, folder, lambda: server.url, f"c{next(_NUMBERS)}")
            model = Model(place, await two(place))
            try:
                for what, *how in steps:
                    if what == "wait":
                        place.wall.now += how[0]
                    else:
                        await getattr(model, what)(*how)
                    await model.check()
                for who in (0, 1):
                    await model.follow(who)
            finally:
                await place.close()

        asyncio.run(run())

    same()
