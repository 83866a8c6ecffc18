"""What every shelf keeps: memory, SQLite, Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import msgspec
import pytest

from gateway.errors import Forgotten, OverQuota
from gateway.model.shelf import (
    LONGEST_KEY,
    MOST_PUTS,
    NOBODY,
    Committed,
    Item,
    Mismatch,
    Page,
    Provenance,
    Put,
    ShelfLimits,
    ShelfUsage,
    read_version,
    size_of,
    version_of,
)
from gateway.ports import Shelf
from gateway.stores import redis_shelf_lua, shelf_rules, sqlite_shelf
from tests.stores.opening import AT, Place

ANN = Provenance("ann", "run-1", "call-1", ("mail", "untrusted"))
BOB = Provenance("bob")
LIMITS = ShelfLimits()


async def put(
    shelf: Shelf,
    key: str,
    value: bytes | None,
    expect: int | None = None,
    *,
    by: Provenance = ANN,
    ttl: float = 0.0,
    limits: ShelfLimits = LIMITS,
    epoch: str | None = None,
) -> Committed | Mismatch:
    return await shelf.commit("team", [Put(key, value, "text", ttl, expect)], by, limits, epoch=epoch)


async def two(place: Place) -> tuple[Shelf, Shelf]:
    return (await place.open()).shelf, (await place.open()).shelf


def values(items: Sequence[Item]) -> list[tuple[str, bytes | None]]:
    return [(item.key, item.value) for item in items]


async def of(items: Sequence[Item]) -> AsyncIterator[Item]:
    for item in items:
        yield item


async def test_what_is_written_stands_with_who_wrote_it_and_when(place: Place) -> None:
    one, other = await two(place)
    assert await one.get("team", "a") == Page("", 0)
    done = await put(one, "a", b"1 \x00\xff", ttl=60.0)
    assert isinstance(done, Committed)
    item = Item("team", "a", 1, b"1 \x00\xff", "text", AT, AT, AT + 60.0, ANN)
    assert done == Committed(done.epoch, 1, (item,))
    assert await other.get("team", "a") == Page(done.epoch, 1, (item,))
    place.wall.now += 5
    again = await other.commit("team", [Put("a", b"{}")], BOB, LIMITS)
    assert again.items == (Item("team", "a", 2, b"{}", "json", AT, AT + 5, 0.0, BOB),)
    assert (await one.get("team", "a")).item == again.items[0]
    assert await one.get("other", "a") == Page("", 0)


async def test_only_who_expects_what_stands_may_write(place: Place) -> None:
    one, other = await two(place)
    first = await put(one, "a", b"1", 0)
    assert isinstance(first, Committed)
    for expect in (0, 2, 99):
        assert await put(other, "a", b"2", expect) == Mismatch(first.epoch, 1, first.items)
    second = await put(other, "a", b"2", 1, epoch=first.epoch)
    assert isinstance(second, Committed)
    assert second.revision == 2
    assert await put(one, "a", None, 1) == Mismatch(first.epoch, 2, second.items)
    gone = await put(one, "a", None, 2, by=BOB)
    assert gone.items == (Item("team", "a", 3, None, "text", AT, AT, 0.0, BOB),)
    assert await other.get("team", "a") == Page(first.epoch, 3)
    assert await put(other, "a", b"3", 2) == Mismatch(first.epoch, 3, gone.items), "it tells who removed it"
    assert (await put(other, "a", b"3", 0)).revision == 4
    nothing = await put(other, "b", b"1", 1)
    assert nothing == Mismatch(first.epoch, 4, (Item("team", "b", 0, None),))


async def test_a_version_of_another_life_never_matches_but_what_must_not_be_may(place: Place) -> None:
    shelf, _ = await two(place)
    first = await put(shelf, "a", b"1")
    assert isinstance(await put(shelf, "a", b"2", 1, epoch="0123"), Mismatch)
    assert isinstance(await put(shelf, "b", b"2", 0, epoch="0123"), Committed)
    assert await shelf.drop("team")
    assert not await shelf.drop("team")
    again = await put(shelf, "a", b"1")
    assert again.revision == first.revision
    assert again.epoch != first.epoch
    assert isinstance(await put(shelf, "a", b"2", 1, epoch=first.epoch), Mismatch)
    assert isinstance(await put(shelf, "a", b"2", 1, epoch=again.epoch), Committed)


async def test_a_commit_is_written_as_a_whole_or_not_at_all(place: Place) -> None:
    one, other = await two(place)
    done = await one.commit("team", [Put("b", b"1"), Put("a", b"2"), Put("never", None)], ANN, LIMITS)
    assert (done.revision, values(done.items)) == (1, [("b", b"1"), ("a", b"2")])
    refused = await other.commit(
        "team", [Put("a", b"3", expect=1), Put("b", b"3", expect=7)], BOB, LIMITS, compares=[("c", 4), ("a", 1)]
    )
    assert isinstance(refused, Mismatch)
    assert values(refused.items) == [("b", b"1"), ("c", None)]
    assert (await one.get("team", "a")).item == done.items[1]
    moved = await other.commit(
        "team", [Put("a", None), Put("c", b"3", expect=0)], BOB, LIMITS, compares=[("b", 1), ("d", 0)]
    )
    assert (moved.revision, values(moved.items)) == (2, [("a", None), ("c", b"3")])
    assert values((await one.scan("team")).items) == [("b", b"1"), ("c", b"3")]
    same = await one.commit("team", [Put("a", None), Put("x", None, expect=0)], BOB, LIMITS)
    assert same == Committed(done.epoch, 2), "what is not there need not be removed"
    assert await one.commit("team", [], BOB, LIMITS, compares=[("b", 1)]) == Committed(done.epoch, 2)
    assert isinstance(await one.commit("team", [], BOB, LIMITS, compares=[("b", 2)]), Mismatch)
    assert await one.commit("nowhere", [Put("a", None)], BOB, LIMITS) == Committed("", 0)
    assert await one.namespaces() == ["team"]


@pytest.mark.parametrize(
    "puts",
    [
        [Put("a", b"1"), Put("a", None)],
        [Put("", b"1")],
        [Put("a" * (LONGEST_KEY + 1), b"1")],
        [Put("a\0b", b"1")],
        [Put("\ud800", b"1")],
        [Put(str(number), b"1") for number in range(MOST_PUTS + 1)],
        [Put(str(number), b"x" * (1 << 20)) for number in range(9)],
    ],
    ids=["twice", "empty", "long", "zero", "no text", "many", "large"],
)
@pytest.mark.parametrize("place", ["memory"], indirect=True)
async def test_what_cannot_be_a_commit_is_a_mistake_of_who_asks(place: Place, puts: list[Put]) -> None:
    shelf, _ = await two(place)
    with pytest.raises(ValueError, match=r"key|commit"):
        await shelf.commit("team", puts, ANN, LIMITS)


async def test_what_has_expired_is_gone_at_its_time_by_a_revision_of_its_own(place: Place) -> None:
    one, other = await two(place)
    done = await one.commit("team", [Put("b", b"1", ttl=30.0), Put("a", b"2", ttl=30.0), Put("c", b"3")], ANN, LIMITS)
    place.wall.now = AT + 29.999
    assert len((await other.scan("team")).items) == 3
    assert await other.changes("team", 1) == Page(done.epoch, 1)
    place.wall.now = AT + 30.0
    assert await other.get("team", "a") == Page(done.epoch, 3)
    page = await one.changes("team", 1)
    gone = [Item("team", key, n, None, "json", AT, AT + 30.0, 0.0, NOBODY) for n, key in ((2, "a"), (3, "b"))]
    assert page == Page(done.epoch, 3, tuple(gone))
    assert values((await one.scan("team")).items) == [("c", b"3")]
    assert (await put(one, "a", b"4", 1)).revision == 3
    assert (await put(one, "a", b"4", 0)).revision == 4, "whoever may only create, may"
    assert (await one.usage("team")).items == 2


async def test_a_longer_life_replaces_a_shorter_one(place: Place) -> None:
    one, _ = await two(place)
    await put(one, "a", b"1", ttl=10.0)
    await put(one, "a", b"2", ttl=100.0)
    await put(one, "b", b"1", ttl=10.0)
    await put(one, "b", b"2")
    await put(one, "c", b"1", ttl=10.0)
    await put(one, "c", None)
    place.wall.now += 50
    page = await one.scan("team")
    assert (page.revision, values(page.items)) == (6, [("a", b"2"), ("b", b"2")])


async def test_time_that_goes_back_brings_nothing_back(place: Place) -> None:
    one, _ = await two(place)
    await put(one, "a", b"1", ttl=10.0)
    place.wall.now += 20
    done = await put(one, "b", b"1")
    place.wall.now -= 15
    assert (await one.get("team", "a")).item is None
    later = await put(one, "c", b"1", ttl=5.0)
    assert later.items[0].written == done.items[0].written
    place.wall.now += 15
    assert (await one.get("team", "c")).item is not None
    place.wall.now += 5
    assert (await one.get("team", "c")).item is None


async def test_many_that_expire_at_once_are_all_gone_and_all_heard_of(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_shelf, "_AT_ONCE", 60)
    count = redis_shelf_lua.AT_ONCE + 50
    one, other = await two(place)
    for first in range(0, count, 125):
        await one.commit("team", [Put(f"k{n:04}", b"x", ttl=5 + n % 3) for n in range(first, first + 125)], ANN, LIMITS)
    await put(one, "z", b"1")
    place.wall.now += 10
    assert values((await other.scan("team")).items) == [("z", b"1")]
    heard, after = list[Item](), 3
    while True:
        page = await one.changes("team", after, 100)
        heard += page.items
        if not page.more:
            break
        after = page.items[-1].revision
    assert len(heard) == count
    assert [item.written for item in heard] == sorted(item.written for item in heard)
    assert [item.revision for item in heard] == list(range(4, 4 + count))
    usage = await one.usage("team")
    assert (usage.items, usage.size) == (1, size_of("z", b"1", ANN))


async def test_a_scan_gives_what_begins_so_in_order_and_page_by_page(place: Place) -> None:
    one, other = await two(place)
    keys = ["a/1", "a/2", "a/é", "a/\uffff", "a/\U00010000", "a", "a0", "b/1", "a/%_", "A/1"]
    await one.commit("team", [Put(key, key.encode()) for key in keys], ANN, LIMITS)
    expected = sorted((key for key in keys if key.startswith("a/")), key=str.encode)
    assert [item.key for item in (await other.scan("team", "a/")).items] == expected
    found, after = list[str](), ""
    while True:
        page = await other.scan("team", "a/", after, 2)
        found += [item.key for item in page.items]
        assert len(page.items) <= 2
        if not page.more:
            break
        after = found[-1]
    assert found == expected
    assert [item.key for item in (await other.scan("team", "a/", "a/1")).items] == expected[2:]
    assert [item.key for item in (await other.scan("team", "b", "a/1")).items] == ["b/1"]
    assert [item.key for item in (await other.scan("team", "", "a0")).items] == ["b/1"]
    assert (await other.scan("team", "c")).items == ()
    assert len((await other.scan("team")).items) == len(keys)


async def test_a_page_of_large_values_is_short(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf_rules, "PAGE_BYTES", 2500)
    one, _ = await two(place)
    for key in "abcd":
        await put(one, key, key.encode() * 1000)
    for number in range(4):
        await put(one, "a", b"%d" % number * 1000)
    pages = [await one.scan("team"), await one.changes("team", 0), await one.history("team", "a")]
    assert [(len(page.items), page.more) for page in pages] == [(3, True)] * 3
    rest = await one.scan("team", after="c")
    assert (values(rest.items), rest.more) == ([("d", b"d" * 1000)], False)


async def test_a_scan_goes_past_thousands_of_removed_keys(place: Place) -> None:
    one, _ = await two(place)
    for first in range(0, 2400, 200):
        await one.commit("team", [Put(f"k{n:05}", b"x") for n in range(first, first + 200)], ANN, LIMITS)
    for first in range(0, 2400, 200):
        await one.commit("team", [Put(f"k{n:05}", None) for n in range(first, first + 200)], ANN, LIMITS)
    await put(one, "z", b"1")
    page = await one.scan("team", "", "", 10)
    assert (values(page.items), page.more) == ([("z", b"1")], False)


async def test_snapshots_show_what_stood_at_a_revision(place: Place) -> None:
    one, other = await two(place)
    await one.commit("team", [Put("a", b"1"), Put("b", b"1")], ANN, LIMITS)
    await put(one, "a", b"2")
    await put(one, "b", None)
    await put(one, "c", b"4")
    seen = {at: values((await other.scan("team", at=at)).items) for at in range(5)}
    assert seen == {
        0: [],
        1: [("a", b"1"), ("b", b"1")],
        2: [("a", b"2"), ("b", b"1")],
        3: [("a", b"2")],
        4: [("a", b"2"), ("c", b"4")],
    }
    for at, standing in seen.items():
        for key in "abc":
            page = await other.get("team", key, at)
            assert page.revision == at
            assert [item.value for item in page.items] == [value for each, value in standing if each == key]
    for ask in (other.get("team", "a", 5), other.scan("team", at=5), other.changes("team", 5)):
        with pytest.raises(Forgotten, match="has not been"):
            await ask
    with pytest.raises(Forgotten):
        await other.get("nowhere", "a", 1)


async def test_history_tells_all_versions_the_newest_first(place: Place) -> None:
    one, other = await two(place)
    for value in (b"1", None, b"2", b"3"):
        await put(one, "a", value, by=BOB if value is None else ANN)
    page = await other.history("team", "a")
    assert [(item.revision, item.value, item.by) for item in page.items] == [
        (4, b"3", ANN),
        (3, b"2", ANN),
        (2, None, BOB),
        (1, b"1", ANN),
    ]
    short = await other.history("team", "a", 2)
    assert (short.items, short.more) == (page.items[:2], True)
    assert await other.history("team", "b") == Page(page.epoch, 4)


async def test_of_each_key_so_many_former_versions_are_kept_and_what_is_gone_is_said_to_be(place: Place) -> None:
    one, other = await two(place)
    limits = ShelfLimits(versions=2)
    await put(one, "quiet", b"q", limits=limits)
    for number in range(6):
        await put(one, "a", b"%d" % number, limits=limits)
    assert [item.value for item in (await other.history("team", "a")).items] == [b"5", b"4", b"3"]
    assert values((await other.get("team", "a", 5)).items) == [("a", b"3")]
    for ask in (other.get("team", "a", 4), other.scan("team", at=4), other.scan("team", "a", at=2)):
        with pytest.raises(Forgotten, match="not kept any more"):
            await ask
    assert values((await other.get("team", "quiet", 2)).items) == [("quiet", b"q")]
    assert values((await other.scan("team", "q", at=2)).items) == [("quiet", b"q")]
    page = await other.changes("team", 1)
    assert values(page.items) == [("a", b"3"), ("a", b"4"), ("a", b"5")], "the newest is never left out"
    none = ShelfLimits(versions=0)
    await put(one, "a", b"6", limits=none)
    assert values((await other.history("team", "a")).items) == [("a", b"6")]


async def test_the_past_is_forgotten_in_time_removals_as_a_whole(place: Place) -> None:
    one, other = await two(place)
    limits = ShelfLimits(age=100.0)
    await put(one, "a", b"1", limits=limits)
    await put(one, "a", b"2", limits=limits)
    await put(one, "b", b"1", limits=limits)
    await put(one, "b", None, limits=limits)
    place.wall.now += 99
    await one.commit("team", [], ANN, limits)
    assert len((await other.history("team", "a")).items) == 2
    assert len((await other.changes("team", 3)).items) == 1
    place.wall.now += 1
    await one.commit("team", [], ANN, limits)
    assert values((await other.history("team", "a")).items) == [("a", b"2")]
    assert (await other.history("team", "b")).items == ()
    for ask in (other.changes("team", 3), other.scan("team", at=3), other.get("team", "b", 3)):
        with pytest.raises(Forgotten, match="not kept any more"):
            await ask
    assert values((await other.changes("team", 0)).items) == [("a", b"2")], "who knows nothing misses nothing"
    assert (await other.changes("team", 4)).items == ()
    assert values((await other.scan("team", at=4)).items) == [("a", b"2")]
    usage = await other.usage("team")
    assert usage == ShelfUsage(usage.epoch, 4, 1, size_of("a", b"2", ANN), 0)
    assert isinstance(await put(one, "b", b"2", 3), Mismatch)
    assert isinstance(await put(one, "b", b"2", 0), Committed)


async def test_the_past_takes_no_more_than_what_may_stand(place: Place) -> None:
    one, other = await two(place)
    limits = ShelfLimits(size=5_000, versions=1_000)
    for number in range(40):
        await put(one, f"k{number % 4}", b"x" * 300, limits=limits)
    for number in range(30):
        await put(one, f"gone{number}", b"1", limits=limits)
        await put(one, f"gone{number}", None, limits=limits)
    usage = await other.usage("team")
    assert usage.items == 4
    assert usage.former <= limits.size
    assert usage.former > limits.size - 800
    heard = await other.changes("team", 0, 1000)
    kept = sum(size_of(item.key, item.value, item.by) for item in heard.items)
    assert kept == usage.size + usage.former


async def test_quotas_say_which_and_what_shrinks_is_always_in_order(place: Place) -> None:
    one, _ = await two(place)
    each = size_of("a", b"x" * 50, ANN)
    limits = ShelfLimits(items=3, size=4 * each, value=1000, keys_per_agent=2)
    for key in "ab":
        await put(one, key, b"x" * 50, limits=limits)

    async def over(what: str, *puts: Put, by: Provenance = ANN) -> None:
        with pytest.raises(OverQuota) as error:
            await one.commit("team", puts, by, limits)
        assert error.value.what == what

    await over("keys_per_agent", Put("c", b"1"))
    await over("keys_per_agent", Put("c", b"1"), Put("a", b"1"))
    await one.commit("team", [Put("c", b"1"), Put("a", None)], ANN, limits)
    await put(one, "d", b"x" * 50, by=BOB, limits=limits)
    await over("items", Put("e", b"1"), by=BOB)
    await over("value", Put("b", b"x" * 1001), by=BOB)
    await over("size", Put("b", b"x" * 50), Put("c", b"x" * 500), by=BOB)
    await one.commit("team", [Put("b", b"x" * 50)], BOB, limits)
    await over("keys_per_agent", Put("d", None), Put("e", b"1"))  # what others write over is still of who made it
    small = ShelfLimits(items=1, size=2 * each, keys_per_agent=1)
    await put(one, "b", b"x", limits=small)
    await put(one, "b", None, limits=small)
    assert (await one.usage("team")).items == 2


async def test_what_expires_makes_room(place: Place) -> None:
    one, _ = await two(place)
    limits = ShelfLimits(items=1, keys_per_agent=1)
    await put(one, "a", b"1", ttl=10.0, limits=limits)
    with pytest.raises(OverQuota):
        await put(one, "b", b"1", limits=limits)
    place.wall.now += 10
    await put(one, "b", b"1", limits=limits)


async def test_there_are_so_many_namespaces_at_most(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf_rules, "MOST_NAMESPACES", 2)
    one, _ = await two(place)
    for name in ("b {}:", "a"):
        await one.commit(name, [Put("k", b"1")], ANN, LIMITS)
    with pytest.raises(OverQuota, match="2 namespaces"):
        await one.commit("c", [Put("k", b"1")], ANN, LIMITS)
    with pytest.raises(OverQuota, match="2 namespaces"):
        await one.load("c", of([]))
    assert await one.namespaces() == ["a", "b {}:"]
    await one.drop("a")
    await one.commit("c", [Put("k", b"1")], ANN, LIMITS)
    await one.load("c", of([]))
    assert await one.namespaces() == ["b {}:", "c"]


async def test_a_feed_gives_revisions_whole_and_goes_on_where_it_was(place: Place) -> None:
    one, other = await two(place)
    await put(one, "a", b"0")
    await one.commit("team", [Put(key, b"1") for key in "cba"], ANN, LIMITS)
    await put(one, "d", b"2")
    page = await other.changes("team", 1, 1)
    assert (values(page.items), page.more) == ([("a", b"1"), ("b", b"1"), ("c", b"1")], True)
    page = await other.changes("team", page.items[-1].revision, 1)
    assert (values(page.items), page.more, page.revision) == ([("d", b"2")], False, 3)
    assert values((await other.changes("team", 0)).items)[0] == ("a", b"0")


async def test_what_is_loaded_stands_at_once_in_the_place_of_all_in_another_life(place: Place) -> None:
    one, other = await two(place)
    before = await put(one, "old", b"1")
    items = [Item("elsewhere", f"k{n}", 40 + n, b"%d" % n, "text", 5.0, 6.0, 0.0, BOB) for n in range(250)]
    items += [msgspec.structs.replace(items[3], value=b"again"), msgspec.structs.replace(items[4], value=None)]
    items.append(Item("elsewhere", "ends", 9, b"e", "json", 5.0, 6.0, AT + 10.0, ANN))
    done = await one.load("team", of(items))
    assert (done.revision, done.epoch != before.epoch) == (1, True)
    assert await other.get("team", "old") == Page(done.epoch, 1)
    assert (await other.get("team", "k3")).items == (Item("team", "k3", 1, b"again", "text", 5.0, 6.0, 0.0, BOB),)
    assert (await other.get("team", "k4")).items == ()
    usage = await other.usage("team")
    assert (usage.items, usage.former) == (250, 0)
    place.wall.now += 10
    assert (await other.get("team", "ends")).items == ()
    assert (await put(other, "k3", b"new", 1, epoch=done.epoch)).revision == 3
    with pytest.raises(OverQuota):
        await put(other, "one more", b"1", by=BOB, limits=ShelfLimits(keys_per_agent=249))


async def test_what_cannot_be_loaded_whole_changes_nothing(place: Place) -> None:
    one, other = await two(place)
    before = await put(one, "a", b"1")

    async def broken() -> AsyncIterator[Item]:
        for number in range(600):
            yield Item("team", f"k{number}", 1, b"x")
        raise RuntimeError("the file ends here")

    with pytest.raises(RuntimeError):
        await one.load("team", broken())
    page = await other.scan("team")
    assert (page.epoch, values(page.items)) == (before.epoch, [("a", b"1")])
    assert await other.namespaces() == ["team"]


@pytest.mark.parametrize("place", ["memory"], indirect=True)
async def test_a_key_that_is_written_for_ever_takes_no_more_than_one(place: Place) -> None:
    """Beside an old one, whose past is the first that may be forgotten, and is kept."""
    shelf = (await place.open()).shelf
    for value in (b"1", b"2"):
        await put(shelf, "old", value)
    for _ in range(2_000):
        await put(shelf, "a", b"1", ttl=1e6)
    space = shelf._spaces["team"]
    assert max(map(len, (space._order, space._past, space._ends))) < 200
    assert len((await shelf.changes("team", 0, 1_000)).items) == 2 + 1 + LIMITS.versions
    place.wall.now += 1e6
    assert values((await shelf.scan("team")).items) == [("old", b"2")]


async def test_of_many_who_expect_the_same_one_is_first(place: Place) -> None:
    shelves = await two(place)
    for expect in (0, 1):
        done = await asyncio.gather(*[put(shelves[n % 2], "a", b"%d" % n, expect) for n in range(12)])
        (winner,) = [n for n, one in enumerate(done) if isinstance(one, Committed)]
        item = (await shelves[1].get("team", "a")).item
        assert item is not None
        assert item.value == b"%d" % winner
        assert all(one.items == (item,) for one in done if isinstance(one, Mismatch))


def test_the_name_of_a_version_can_be_read_back() -> None:
    assert read_version(version_of("00ff", 12)) == ("00ff", 12)
    for text in ("", "12", "-12", "00ff-", "00ff-1x", "00ff-²", "00ff-" + "9" * 16):
        assert read_version(text) is None
