"""A shelf does as a plain model does: by two replicas that are asked by turns, whatever they are asked."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from msgspec.structs import replace

from gateway.errors import Forgotten, OverQuota
from gateway.model.shelf import (
    NOBODY,
    Committed,
    Item,
    Mismatch,
    Provenance,
    Put,
    ShelfLimits,
    size_of,
)
from gateway.ports import Shelf
from tests.stores.opening import KINDS, Place

T = TypeVar("T")
KEYS = ["a", "a/b", "a/é", "b"]
NAMESPACE = "team {1}"
AGENTS = [Provenance("ann", "r", "c", ("x",)), Provenance("bob")]
LIMITS = ShelfLimits(items=3, size=1_500, value=300, keys_per_agent=2, versions=3, age=100.0)
PUTS = st.lists(
    st.builds(
        Put,
        st.sampled_from(KEYS),
        st.sampled_from([None, None, b"", b"1", b"2 \x00", b"x" * 290]),
        st.sampled_from(["json", "text"]),
        st.sampled_from([0.0, 0.0, 5.0, 60.0]),
    ),
    max_size=4,
    unique_by=lambda put: put.key,
)
EXPECTS = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(["right", "stale", "none"]), max_size=3)
HISTORIES = int(os.environ.get("TOOLGATE_HISTORIES", "1"))
"""How many times as long the search is as it is by default."""
_NUMBERS = itertools.count()


class Model:
    """All states that a namespace was in, one for each revision, and when it was at each."""

    def __init__(self) -> None:
        self.states: list[dict[str, Item]] = [{}]
        self.log: list[list[Item]] = [[]]
        self.owners: dict[str, str] = {}
        self.clock = 0.0

    @property
    def now(self) -> dict[str, Item]:
        return self.states[-1]

    @property
    def revision(self) -> int:
        return len(self.states) - 1

    def expire(self, now: float) -> None:
        while due := sorted((item.ends, key) for key, item in self.now.items() if 0 < item.ends <= now):
            ends, key = due[0]
            self.write([Put(key, None, self.now[key].kind)], NOBODY, ends)
        self.clock = now

    def write(self, puts: list[Put], by: Provenance, now: float) -> list[Item]:
        state, items = dict(self.now), []
        for put in puts:
            before = state.pop(put.key, None)
            created = before.created if before else now
            ends = now + put.ttl if put.ttl and put.value is not None else 0.0
            item = Item(NAMESPACE, put.key, self.revision + 1, put.value, put.kind, created, now, ends, by)
            items.append(item)
            if put.value is not None:
                state[put.key] = item
                if before is None:
                    self.owners[put.key] = by.agent
        self.states.append(state)
        self.log.append(sorted(items, key=lambda item: item.key))
        return items

    def over(self, puts: list[Put], by: Provenance) -> str:
        """Which quota these would be over."""
        after: dict[str, tuple[int, str]] = {
            key: (size_of(key, item.value, item.by), self.owners[key]) for key, item in self.now.items()
        }
        before = dict(after)
        for put in puts:
            _, owner = after.pop(put.key, (0, by.agent))
            if put.value is not None:
                after[put.key] = (size_of(put.key, put.value, by), owner)
        measures: list[tuple[str, Any, int]] = [
            ("items", len, LIMITS.items),
            ("size", lambda state: sum(size for size, _ in state.values()), LIMITS.size),
            (
                "keys_per_agent",
                lambda state: sum(owner == by.agent for _, owner in state.values()),
                LIMITS.keys_per_agent,
            ),
        ]
        for what, measure, limit in measures:
            if measure(after) > limit and measure(after) > measure(before):
                return what
        return ""


class ShelfMachine(RuleBasedStateMachine):
    """Everything that can be asked of a shelf, beside the model."""

    place: Place

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.model = Model()
        self.epoch, self.turn = "", 0
        self.heard: dict[str, bytes] = {}
        self.heard_epoch, self.heard_until = "", 0

    def run(self, asked: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(asked)

    @property
    def shelf(self) -> Shelf:
        self.turn ^= 1
        return self.shelves[self.turn]

    @initialize()
    def open(self) -> None:
        self.place = self.new_place()
        self.shelves: list[Shelf] = [self.run(self.place.open()).shelf for _ in range(2)]

    def new_place(self) -> Place:
        raise NotImplementedError

    def teardown(self) -> None:
        self.run(self.place.close())
        self.loop.close()

    @rule(puts=PUTS, expects=EXPECTS, compares=EXPECTS, by=st.sampled_from(AGENTS), epoch=st.sampled_from([0, 0, 0, 1]))
    def commit(
        self, puts: list[Put], expects: dict[str, str], compares: dict[str, str], by: Provenance, epoch: int
    ) -> None:
        self.model.expire(self.place.wall.now)
        puts = [
            replace(put, expect=self.expected(expects[put.key])(put.key) if put.key in expects else None)
            for put in puts
        ]
        compared = [(key, self.expected(how)(key)) for key, how in compares.items()]
        wanted = [*((put.key, put.expect) for put in puts if put.expect is not None), *compared]
        seen = "0000" if epoch else self.epoch or None
        asked = self.shelf.commit(NAMESPACE, puts, by, LIMITS, epoch=seen, compares=compared)
        stale = bool(epoch) and self.epoch != "0000"
        wrong = {key for key, expect in wanted if self.standing(key) != expect or (stale and expect)}
        written = [put for put in puts if put.value is not None or put.key in self.model.now]
        over = "" if wrong else self.model.over(written, by)
        if over:
            with pytest.raises(OverQuota) as error:
                self.run(asked)
            assert error.value.what == over
            return
        said = self.run(asked)
        if wrong:
            assert isinstance(said, Mismatch)
            assert {item.key for item in said.items} == wrong
            assert all(
                item == self.model.now[item.key] if item.key in self.model.now else item.value is None
                for item in said.items
            )
            return
        items = self.model.write(written, by, self.place.wall.now) if written else []
        assert isinstance(said, Committed)
        assert (said.revision, said.items) == (self.model.revision, tuple(items))
        assert said.epoch == self.epoch or not self.epoch
        self.epoch = said.epoch

    def expected(self, how: str) -> Any:
        if how == "right":
            return self.standing
        return (lambda key: 0) if how == "none" else lambda key: self.standing(key) + 1

    def standing(self, key: str) -> int:
        item = self.model.now.get(key)
        return 0 if item is None else item.revision

    @rule(seconds=st.sampled_from([1.0, 4.9, 59.0, 120.0]))
    def wait(self, seconds: float) -> None:
        self.place.wall.now += seconds

    @rule(key=st.sampled_from(KEYS))
    def get(self, key: str) -> None:
        self.model.expire(self.place.wall.now)
        page = self.run(self.shelf.get(NAMESPACE, key))
        assert page.item == self.model.now.get(key)
        assert (page.epoch, page.revision) == (self.epoch, self.model.revision)

    @rule(prefix=st.sampled_from(["", "a", "a/", "c"]), limit=st.integers(1, 3), back=st.integers(0, 4))
    def scan(self, prefix: str, limit: int, back: int) -> None:
        """At a revision it tells the truth, or says that it does not know."""
        self.model.expire(self.place.wall.now)
        at = self.model.revision - back if 0 < back <= self.model.revision else None
        state = self.model.states[self.model.revision if at is None else at]
        wanted = [state[key] for key in sorted(state) if key.startswith(prefix)]
        found, after = list[Item](), ""
        while True:
            try:
                page = self.run(self.shelf.scan(NAMESPACE, prefix, after, limit, at))
            except Forgotten:
                assert at is not None
                assert self.forgets()
                return
            found += page.items
            if not page.more:
                break
            after = found[-1].key
        assert found == wanted

    def forgets(self) -> bool:
        """Whether less is kept than there was: only then may anything not be known."""
        kept = len(self.run(self.shelf.changes(NAMESPACE, 0, 1000)).items)
        return kept < sum(len(items) for items in self.model.log)

    @rule(key=st.sampled_from(KEYS))
    def history(self, key: str) -> None:
        """What is kept is the end of all that was, without a gap."""
        self.model.expire(self.place.wall.now)
        page = self.run(self.shelf.history(NAMESPACE, key))
        wrote = [item for items in self.model.log for item in items if item.key == key][::-1]
        assert list(page.items) == wrote[: len(page.items)]
        assert len(page.items) <= LIMITS.versions + 3
        if key in self.model.now:
            assert page.items

    @rule(limit=st.integers(1, 4))
    def follow(self, limit: int) -> None:
        """Whoever follows knows what stands, and has heard of each revision in order."""
        self.model.expire(self.place.wall.now)
        if self.heard_epoch != self.epoch:
            self.heard, self.heard_epoch, self.heard_until = {}, self.epoch, 0
        while True:
            try:
                page = self.run(self.shelf.changes(NAMESPACE, self.heard_until, limit))
            except Forgotten:
                assert self.heard_until
                self.heard, self.heard_until = {}, 0
                continue
            assert [item.revision for item in page.items] == sorted(item.revision for item in page.items)
            for item in page.items:
                assert item in self.model.log[item.revision]
                self.heard.pop(item.key, None)
                if item.value is not None:
                    self.heard[item.key] = item.value
            self.heard_until = page.items[-1].revision if page.more else page.revision
            if not page.more:
                break
        assert self.heard == {key: item.value for key, item in self.model.now.items()}
        assert self.heard_until == self.model.revision

    @precondition(lambda self: self.epoch)
    @rule()
    def load(self) -> None:
        self.model.expire(self.place.wall.now)

        async def items() -> AsyncIterator[Item]:
            for item in self.model.now.values():
                yield item

        done = self.run(self.shelf.load(NAMESPACE, items()))
        assert done.epoch != self.epoch
        self.epoch = done.epoch
        state = {key: replace(item, revision=1) for key, item in self.model.now.items()}
        self.model.owners = {key: item.by.agent for key, item in state.items()}
        self.model.states = [{}, state]
        self.model.log = [[], [state[key] for key in sorted(state)]]

    @invariant()
    def counts(self) -> None:
        if not hasattr(self, "shelves"):
            return
        self.model.expire(self.place.wall.now)
        usage = self.run(self.shelf.usage(NAMESPACE))
        state = self.model.now.values()
        assert (usage.items, usage.revision) == (len(state), self.model.revision)
        assert usage.size == sum(size_of(item.key, item.value, item.by) for item in state)
        assert usage.former >= 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_shelf_does_as_the_model_does(
    kind: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> None:
    server = request.getfixturevalue("redis_server") if kind == "redis" else None

    class Machine(ShelfMachine):
        def new_place(self) -> Place:
            folder = tmp_path_factory.mktemp("shelf")
            return Place(kind, folder, lambda: server.url, f"s{next(_NUMBERS)}")

    # Hypothesis parses this file now. What tests before left to the collector must not be told of in the middle,
    # since telling parses too, and Python 3.11 cannot do both (SystemError: AST constructor recursion depth mismatch).
    gc.collect()
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Machine,
        settings=settings(
            max_examples=25 * HISTORIES,
            stateful_step_count=25,
            deadline=None,
            report_multiple_bugs=False,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
