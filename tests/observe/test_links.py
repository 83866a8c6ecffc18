"""Which turn of a model proposed the call that was then made."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.model import UNREAD, Agent, Findings, Outcome, Permit, Proposal, Reason, Refusal, Run, Trace
from gateway.observe.links import Link, Links, names_of, plain
from gateway.stores.shares import Shares
from tests.builders import call, tool
from tests.observe.support import trace

ANN = Agent("ann")


def links(most_trees: int = 100, most: int = 8) -> Links:
    return Links(Shares(most_trees), most)


def made(
    ident: str,
    args: Any = UNREAD,
    operation: str = "read_file",
    began: float = 1.0,
    run: Run = Run("r"),
    agent: Agent = ANN,
    proposed: tuple[Proposal, ...] = (),
    **changes: Any,
) -> Trace:
    asked = structs.replace(call(to=tool("files")), args=args, operation=operation, run=run, agent=agent, **changes)
    outcome = Outcome(200, 200, found=Findings(proposed=proposed))
    return structs.replace(
        trace(Permit(asked), outcome, ident), call=asked, began=began, ended=began + 1, run=run, agent=agent
    )


def turn(ident: str, *proposed: Proposal, **changes: Any) -> Trace:
    return made(ident, proposed=proposed, **{"operation": "POST /v1/messages", "began": 0.0, **changes})


def test_a_call_with_the_name_and_the_arguments_follows_the_proposal():
    known = links()
    assert known.linked(turn("t", Proposal("read_file", {"path": "/b", "n": 1}, "p1"))) is None
    assert known.linked(made("c", {"n": 1, "path": "/b"})) == Link("t", "p1", "read_file", False)


def test_of_several_proposals_of_one_name_the_arguments_tell():
    known = links()
    known.linked(turn("t", Proposal("read_file", {"path": "/a"}, "1"), Proposal("read_file", {"path": "/b"}, "2")))
    told = [known.linked(made(f"c{path}", {"path": path})) for path in ("/b", "/a")]
    assert [one.id for one in told if one is not None] == ["2", "1"]


@pytest.mark.parametrize("args", [{"path": "/other"}, UNREAD, {}])
def test_by_the_name_alone_it_is_a_guess_and_each_proposal_is_taken_once(args):
    known = links()
    known.linked(turn("t", Proposal("read_file", {"path": "/a"}, "1"), Proposal("read_file", {"path": "/b"}, "2")))
    told = [known.linked(made(f"c{number}", args)) for number in range(3)]
    assert told == [Link("t", "1", "read_file", True), Link("t", "2", "read_file", True), None]


def test_by_the_arguments_alone_it_is_a_guess():
    known = links()
    known.linked(turn("t", Proposal("send_money", {"to": "bob", "amount": 5}, "1")))
    assert known.linked(made("c", {"amount": 5, "to": "bob"}, "POST /transfers")) == Link("t", "1", "send_money", True)
    assert known.linked(made("d", {"amount": 6, "to": "bob"}, "POST /transfers")) is None


def test_a_call_that_is_made_again_follows_the_same_proposal():
    known = links()
    known.linked(turn("t", Proposal("read_file", {"path": "/a"}, "1")))
    assert known.linked(made("c", {"path": "/a"})) == known.linked(made("d", {"path": "/a"}))


def test_the_newest_turn_comes_first_and_what_was_refused_never():
    known = links()
    known.linked(turn("t1", Proposal("read_file", None, "1")))
    known.linked(turn("t2", Proposal("read_file", None, "2"), Proposal("write_file", None, "3", refused="p/r")))
    told = known.linked(made("c"))
    assert told is not None
    assert told.call == "t2"
    assert known.linked(made("d", operation="write_file")) is None


def test_a_call_that_was_under_way_before_the_turn_began_follows_none():
    known = links()
    known.linked(turn("t", Proposal("read_file", None, "1"), began=5.0))
    assert known.linked(made("c", began=4.0)) is None


def test_a_refused_call_follows_its_proposal_too():
    known = links()
    known.linked(turn("t", Proposal("read_file", {"path": "/a"}, "1")))
    one = structs.replace(made("c", {"path": "/a"}), decision=Refusal(Reason.POLICY_DENIED, 403, ""))
    assert known.linked(one) == Link("t", "1", "read_file", False)


def test_agents_of_one_tree_are_linked_and_other_trees_are_not():
    known = links()
    known.linked(turn("t", Proposal("read_file", None, "1")))
    inner = Run("sub", root=("ann", "r"), led=("ann", "r"), depth=1)
    assert known.linked(made("x", run=Run("other"))) is None
    assert known.linked(made("y", agent=Agent("bob"))) is None
    assert known.linked(made("c", run=inner, agent=Agent("bob"))) is not None


def test_without_a_run_only_what_fits_wholly_counts():
    known = links()
    known.linked(turn("t", Proposal("read_file", {"path": "/a"}, "1"), run=Run()))
    assert known.linked(made("c", {"path": "/b"}, run=Run())) is None
    assert known.linked(made("d", {"path": "/a"}, run=Run())) is not None


def test_each_call_of_a_batch_can_be_the_one_that_was_proposed():
    known = links()
    known.linked(turn("t", Proposal("read_file", {"path": "/a"}, "1")))
    part = structs.replace(call(to=tool("files")), operation="read_file", args={"path": "/a"})
    assert known.linked(made("c", operation="batch", parts=(part,))) == Link("t", "1", "read_file", False)


def test_what_nobody_could_read_follows_nothing():
    known = links()
    known.linked(turn("t", Proposal("read_file", None, "1")))
    assert known.linked(structs.replace(made("c"), decision=None, call=None)) is None
    assert known.linked(made("d", implied=True)) is None


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 12)), max_size=60))
def test_what_is_remembered_is_bounded(turns):
    table: Shares[tuple[str, str], list[Any]] = Shares(3)
    known = Links(table, 4)
    for run, count in turns:
        known.linked(turn("t", *[Proposal(f"p{number}") for number in range(count)], run=Run(f"r{run}")))
        assert len(table) <= 3
        assert all(len(waiting) <= 4 for _, waiting in table)


@pytest.mark.parametrize(
    ("proposed", "tool_name", "operation"),
    [
        ("read_file", "files", "read_file"),
        ("mcp__files__read_file", "files", "read_file"),
        ("files_readFile", "files", "read_file"),
        ("transfers", "bank", "POST /accounts/{id}/transfers"),
        ("bank.transfers", "bank", "POST /transfers"),
        ("researcher", "researcher", "POST /ask"),
    ],
)
def test_names_that_sdks_give_to_tools_are_understood(proposed, tool_name, operation):
    assert plain(proposed) in names_of(tool_name, operation)


def test_other_names_are_not():
    assert plain("delete_file") not in names_of("files", "read_file")
