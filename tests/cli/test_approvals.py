"""``toolgate approvals`` against the admin API itself."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from gateway.admin.api import make_api
from gateway.admin.gate import Gate
from gateway.admin.server import start
from gateway.approvals.permission import Who
from gateway.cli import approvals_list, operate
from gateway.cli.approvals_args import changed_args
from gateway.cli.root import toolgate
from gateway.config.fields import Address
from gateway.model import Approval, Terms
from gateway.observe.exposition import Gauges, registry_of
from gateway.observe.metrics import Metrics
from tests.admin.office import Office


class Served:
    """An office whose API is served on a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.do(self._open())

    def do(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _open(self) -> None:
        self.office = Office(time.time())
        api = make_api(Gate(Address("127.0.0.1", 9090), None))
        self.office.add(api)
        self._runner = await start(("127.0.0.1", 0), dict, registry_of(Metrics(), Gauges()), api)
        self.port = self._runner.addresses[0][1]

    def open(self, args: dict[str, Any] | None = None, **fields: Any) -> Approval:
        approval: Approval = self.do(self.office.open(args, **fields))
        return approval

    def now(self, approval: Approval) -> Approval:
        """As it stands."""
        found = self.office.docket.find(approval.id)
        assert found is not None
        return found

    def edited(self, approval: Approval) -> Any:
        """The arguments that were put in."""
        return json.loads(self.do(self.office.docket.edit(approval.id, self.now(approval).votes[-1].edit)))

    def close(self) -> None:
        self.do(self._runner.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.delenv("TOOLGATE_ADMIN_TOKEN", raising=False)
    one = Served()
    yield one
    one.close()


def run(served: Served, *arguments: str, text: str | None = None) -> Result:
    where = ["--admin", f"127.0.0.1:{served.port}"]
    return CliRunner().invoke(toolgate, ["approvals", *arguments, *where], input=text)


def done(served: Served, *arguments: str, text: str | None = None) -> str:
    """What it prints, where it could."""
    result = run(served, *arguments, text=text)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_what_waits_is_a_table_and_machines_get_json(served: Served) -> None:
    call = served.open(operation="POST /trans\u202efer")
    head, line = done(served, "ls").splitlines()
    assert head.split() == ["ID", "STATE", "AGE", "LEFT", "AGENT", "TOOL", "OPERATION", "RULES", "VOTES"]
    assert line.startswith(call.id[:12])
    assert "POST /trans\\u202efer" in line
    assert line.endswith("money/large  0/1")
    (told,) = json.loads(done(served, "ls", "--json"))
    assert told["id"] == call.id
    assert done(served) == done(served, "ls")
    assert len(done(served, "ls", "--agent", "nobody").splitlines()) == 1
    served.open()
    limited = run(served, "ls", "--limit", "1", "--order", "age", "--state", "open", "--rule", "money")
    assert (len(limited.stdout.splitlines()), limited.stderr) == (2, "1 of 2; --limit shows more\n")


def test_one_is_shown_with_everything_that_a_decision_needs(served: Served) -> None:
    call = served.open({"to": "mal\u200blory", "amount": 900}, terms=Terms(approvers=2, impact=900.0))
    done(served, "ask", call.id, "who is\x1b mallory?", "--by", "bob")
    shown = done(served, "show", call.id[4:])
    for line in (
        f"{call.id}  waits for",
        "  asked      POST /transfer of tool bank, impact 900",
        "  by         invoices (clerk), run run-1",
        "  held by    money/large: more than 500 needs a person",
        "             args.amount = 900",
        "  would do   POST /transfer",
        '               "to": "mal\\u200blory",',
        "  said       bob asked ",
        " ago: who is\\u001b mallory?",
        "             0 of 2 people have approved",
    ):
        assert line in shown, shown
    assert json.loads(done(served, "show", call.id, "--json"))["payload"]["args"]["amount"] == 900


def test_approving_takes_one_command_and_says_who(served: Served) -> None:
    call = served.open()
    assert done(served, "approve", call.id, "--by", "ada") == f"{call.id} approved\n"
    (vote,) = served.now(call).votes
    assert (vote.by, vote.verb, vote.via) == ("ada", "approve", "cli")


def test_two_people_must_be_two(served: Served) -> None:
    call = served.open(terms=Terms(approvers=2))
    assert done(served, "approve", call.id, "--by", "ada") == f"{call.id} waiting; 1 more must approve\n"
    again = run(served, "approve", call.id, "--by", "ada")
    assert (again.exit_code, "ada has approved already" in again.stderr) == (1, True)
    assert done(served, "approve", call.id, "--by", "bob") == f"{call.id} approved\n"


def test_of_several_each_fares_by_itself(served: Served) -> None:
    calls = [served.open() for _ in range(3)]
    done(served, "deny", calls[1].id, "-m", "no", "--by", "bob")
    result = run(served, "approve", *[call.id for call in calls], "--by", "ada")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f"{calls[0].id} approved",
        f"{calls[1].id} not decided: nothing has changed by this: it was denied by bob",
        f"{calls[2].id} approved",
    ]
    assert result.stderr == "Error: 1 of 3 were not decided\n"


def test_a_denial_carries_its_message(served: Served) -> None:
    first, second = served.open(), served.open()
    assert done(served, "deny", first.id, second.id, "-m", "use the draft folder") != ""
    assert {served.now(call).message for call in (first, second)} == {"use the draft folder"}
    late = run(served, "approve", first.id, "--by", "ada")
    assert (late.exit_code, "nothing has changed by this: it was denied" in late.stderr) == (1, True)


def test_an_edit_is_shown_as_a_diff_and_asked_about(served: Served) -> None:
    call = served.open({"to": "mallory", "amount": 900, "cc": ["a", "b"], "note": "x"})
    wanted = ("edit", call.id, "--set", "args.amount=50", "--set", "args.cc.1=c", "--unset", "args.note")
    refused = run(served, *wanted, text="n\n")
    assert refused.exit_code == 1
    assert '-  "amount": 900,' in refused.stdout
    assert '+  "amount": 50,' in refused.stdout
    assert served.now(call).state.value == "waiting"
    assert done(served, *wanted, text="y\n").endswith(f"{call.id} approved\n")
    assert served.edited(call) == {"to": "mallory", "amount": 50, "cc": ["a", "c"]}
    assert served.now(call).votes[-1].seconds > 0, "it was before them while they were asked"


def test_an_edit_from_a_file_takes_the_place_of_all_arguments(served: Served, tmp_path: Any) -> None:
    call = served.open()
    file = tmp_path / "args.json"
    file.write_text('{"to": "savings", "amount": 900}')
    assert "+" in done(served, "edit", call.id, "--args", str(file), "--yes")
    assert served.edited(call) == {"to": "savings", "amount": 900}


def test_who_approves_after_an_edit_sees_it_first(served: Served) -> None:
    call = served.open(terms=Terms(approvers=2))
    done(served, "edit", call.id, "--set", "args.amount=50", "--yes", "--by", "ada")
    assert "edited by  ada" in done(served, "show", call.id)
    asked = run(served, "approve", call.id, "--by", "bob", text="n\n")
    assert (asked.exit_code, "ada has put in other arguments" in asked.stdout) == (1, True)
    several = run(served, "approve", call.id, served.open().id, "--by", "bob")
    assert (several.exit_code, "approve that one by itself" in several.stderr) == (1, True)
    assert done(served, "approve", call.id, "--by", "bob", "--yes").endswith("approved\n")


def test_answers_endorsements_and_questions(served: Served, tmp_path: Any) -> None:
    text, data, endorsed, asked = [served.open() for _ in range(4)]
    assert done(served, "answer", text.id, "the balance is 12") == f"{text.id} answered\n"
    assert served.now(text).message == "the balance is 12"
    assert done(served, "answer", data.id, "--json", "-", text='{"balance": 12}') == f"{data.id} answered\n"
    assert served.now(data).message == '{"balance":12}'
    assert done(served, "endorse", endorsed.id, "args.to") == f"{endorsed.id} approved\n"
    assert served.office.bench.endorsements.endorsed(endorsed.tree, "mallory")
    assert done(served, "ask", asked.id, "which invoice?") == f"{asked.id} waiting\n"


def test_calls_like_one_pass_are_listed_and_stopped_again(served: Served) -> None:
    call, other = served.open(), served.open()
    said = done(served, "approve", call.id, "--like-this", "2", "--for", "all", "--uses", "5", "--until", "2h")
    assert said.splitlines()[0] == "calls like it pass from now on where args.amount >= 0 && args.amount <= 900"
    done(served, "approve", other.id, "--like", "args.amount < 10", "--by", "ada")
    head, narrow, wide = sorted(done(served, "exemptions", "ls").splitlines(), key=len)
    assert head.split()[0] == "ID"
    assert "run invoices run-1" in narrow
    assert "everybody" in wide
    assert done(served, "exemptions") == done(served, "exemptions", "ls")
    (first, second) = json.loads(done(served, "exemptions", "ls", "--json"))
    ident = next(one["id"] for one in (first, second) if one["scope"] == "everybody")
    assert done(served, "exemptions", "revoke", ident) == f"{ident} is revoked; it was used 0 times\n"
    assert run(served, "exemptions", "revoke", ident).exit_code == 1
    none = run(served, "approve", served.open().id, "--like-this", "3")
    assert (none.exit_code, "no condition 3 is proposed for this call; there are 2" in none.stderr) == (1, True)


def test_a_check_says_so_only_after_it_has_been_decided_on(served: Served) -> None:
    check = served.open(canary=True)
    assert "check" not in done(served, "show", check.id) + done(served, "ls")
    assert "This was a check" in done(served, "approve", check.id)
    assert "This was a check" in done(served, "deny", served.open(canary=True).id, served.open(canary=True).id)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("approve",), "Missing argument 'ID...'"),
        (("approve", "x", "y", "--like", "true"), "like one call"),
        (("approve", "x", "--like", "true", "--like-this", "1"), "not both"),
        (("approve", "x", "--uses", "3"), "add --like"),
        (("approve", "x", "--like-this", "4"), "--like-this"),
        (("answer", "x"), "give the answer"),
        (("answer", "x", "text", "--json", "-"), "give the answer"),
        (("edit", "x"), "give --set"),
        (("edit", "x", "--set", "args.a=1", "--args", "-"), "give --set"),
        (("ls", "--watch", "--order", "age"), "--watch tells of every change"),
        (("--json", "show", "x"), "put the options behind 'show'"),
    ],
)
def test_what_is_no_command_is_told_before_anybody_is_asked(arguments: tuple[str, ...], said: str) -> None:
    result = CliRunner().invoke(toolgate, ["approvals", *arguments])
    assert result.exit_code == 2
    assert said in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "apr-ffff0000"), "there is no approval"),
        (("show", "../../metrics"), "there is no approval"),
        (("show", "abcd"), "2 approvals begin with 'abcd'; write more of the id"),
        (("edit", "abcd0001", "--set", "args.amount=900", "--yes"), "nothing differs"),
        (("edit", "abcd0001", "--args", "/nowhere.json", "--yes"), "cannot read /nowhere.json"),
        (("endorse", "abcd0001", "args.bcc"), "no argument args.bcc"),
        (("ask", "abcd0001", " "), "message is empty"),
        (("ls", "--state", "lost"), "state must be one of"),
    ],
)
def test_what_cannot_be_done_is_told_with_what_to_do(served: Served, arguments: tuple[str, ...], said: str) -> None:
    calls = [served.open() for _ in range(2)]
    result = run(served, *arguments)
    assert (result.exit_code, said in result.stderr) == (1, True), result.stderr
    assert {served.now(call).state.value for call in calls} == {"waiting"}


def test_with_a_token_nobody_says_who_they_are(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    call = served.open()
    monkeypatch.setenv("TOOLGATE_ADMIN_TOKEN", "0123456789abcdef")
    result = run(served, "approve", call.id, "--by", "ada")
    assert (result.exit_code, "knows you by yours" in result.stderr) == (2, True)


def test_watching_tells_of_each_change_and_goes_on_where_the_connection_was_lost(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = served.open()
    told: list[str] = []
    pauses: list[float] = []

    def tell(one: Any, as_json: bool) -> None:
        told.append(f"{one['id']} {one['state']}")
        if len(told) == 1:
            served.open(agent="other")
            served.open()
        if len(told) == 2:
            served.do(served.office.bench.verdicts.give(first.id, Who("ada", frozenset({"approver"})), "deny"))
        if len(told) == 3:
            served.do(_end_streams(served))
            served.open()
        if len(told) == 4:
            raise KeyboardInterrupt

    def rest(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) > 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(approvals_list, "_tell", tell)
    monkeypatch.setattr(approvals_list, "time", SimpleNamespace(sleep=rest))
    monkeypatch.setattr(operate, "SILENCE", 2.0)
    result = run(served, "ls", "--watch", "--agent", "invoices")
    assert result.exit_code == 0, result.output
    assert told == ["apr-abcd0001 waiting", "apr-abcd0003 waiting", "apr-abcd0001 denied", "apr-abcd0004 waiting"]
    assert pauses == [approvals_list.AGAIN], "a stream that has ended is asked for again after a while"


async def _end_streams(served: Served) -> None:
    """As a restart does; who comes again is served again."""
    changes = served.office.changes
    changes.close()
    while changes.watched:
        await asyncio.sleep(0.01)
    changes.closed = False


ARGS = {"to": {"iban": "DE1"}, "cc": ["a", {"b": 1}], "n": 1}


@pytest.mark.parametrize(
    ("sets", "unsets", "after"),
    [
        (["args.n=2"], [], {**ARGS, "n": 2}),
        (["args.n=two"], [], {**ARGS, "n": "two"}),
        (['args.n="2"'], [], {**ARGS, "n": "2"}),
        (["args.n=NaN"], [], {**ARGS, "n": "NaN"}),
        (["args.to.iban=DE2", "args.new=a=b"], [], {**ARGS, "to": {"iban": "DE2"}, "new": "a=b"}),
        (["args.cc.1.b=null"], ["args.n"], {"to": {"iban": "DE1"}, "cc": ["a", {"b": None}]}),
        ([], ["args.cc.0"], {**ARGS, "cc": [{"b": 1}]}),
    ],
)
def test_values_are_set_by_their_paths(sets: list[str], unsets: list[str], after: Any) -> None:
    before = json.loads(json.dumps(ARGS))
    assert changed_args(before, sets, unsets) == after
    assert before == ARGS, "what was sent stays as it was"


@pytest.mark.parametrize(
    ("sets", "unsets"),
    [
        (["n=2"], []), (["args=2"], []), (["args.n"], []), (["args..n=1"], []), (["args.n.x=1"], []),
        (["args.nowhere.x=1"], []), (["args.cc.2=1"], []), (["args.cc.-1=1"], []), ([], ["args.x"]),
        ([], ["args.cc.9"]),
    ],
)  # fmt: skip
def test_a_path_that_leads_nowhere_is_told(sets: list[str], unsets: list[str]) -> None:
    with pytest.raises(click.BadParameter, match="args"):
        changed_args(ARGS, sets, unsets)
