"""``toolgate calls``, ``runs`` and ``tail``: from a store, from the store of a configuration, and from logs."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from msgspec import structs

from gateway.cli.calls import follow
from gateway.cli.root import toolgate
from gateway.model import Agent, Findings, Hold, Outcome, Permit, Proposal, Reason, Refusal, Ruling, Run, SlotClaim
from gateway.observe.store.file import open_for_reading, open_for_writing
from gateway.observe.store.found import Filter
from gateway.observe.store.reader import TraceReader
from gateway.observe.store.rows import stored
from gateway.observe.store.writing import insert
from gateway.observe.trace import line_of
from tests.builders import call
from tests.observe.store.support import kept, made, reader_of
from tests.observe.support import SPOKE

ALLOWED = Permit(call())
FULL = Hold(SlotClaim("concurrency", ("concurrency", "bank"), 4), False, 0.0, 2.0)
DENIED = Refusal(Reason.POLICY_DENIED, 403, "ask a person\x1b[2J", rule="payments/large", spoke=(SPOKE,), holds=(FULL,))
TURN = Outcome(200, 200, found=Findings(proposed=(Proposal("transfers"), Proposal("wipe", refused="p/no-wipe"))))
TRACES = (
    made(0, ALLOWED, TURN, tool="llm", operation="POST /chat", run=Run("r1", labels=("tainted",))),
    made(1, ALLOWED, Outcome(200, 200, cost_usd=0.25), operation="transfers", facts={"why.reason": "pay the bill"}),
    made(2, DENIED, Outcome(403)),
    made(3, ALLOWED, Outcome(502, fault="tool", error="connection reset"), agent=Agent("bob"), run=Run("r2")),
)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    reader_of(tmp_path / "traces.db", TRACES).close()
    return tmp_path / "traces.db"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "trace.jsonl"
    path.write_bytes(b"".join(line_of(one) for one in TRACES))
    return path


def ran(*args: object, code: int = 0) -> str:
    result = CliRunner().invoke(toolgate, [str(arg) for arg in args])
    assert result.exit_code == code, result.output
    return result.output


def idents(output: str) -> list[str]:
    return [json.loads(line)["call"] for line in output.splitlines() if line.startswith("{")]


def test_calls_are_listed_the_newest_last(store):
    lines = ran("calls", "--store", store).splitlines()
    assert [line.split()[-1] for line in lines] == ["c0", "c1", "c2", "c3"]
    assert "allow 200  1 s  0.25 USD  run r1" in lines[1]
    assert "refuse 403 policy_denied by payments/large" in lines[2]
    assert "allow 502 tool" in lines[3]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--where", 'decision=="deny" && tool=="bank"'], ["c2"]),
        (["--where", "cost_usd > 0"], ["c1"]),
        (["--where", 'proposed.exists(p, p.name == "wipe")'], ["c0"]),
        (["--agent", "bob"], ["c3"]),
        (["--run", "r1", "--tool", "bank"], ["c1", "c2"]),
        (["--text", "connection reset"], ["c3"]),
        (["--text", "bill"], ["c1"]),
        (["--since", "2023-11-14T22:13:22Z"], ["c2", "c3"]),
        (["--until", "2023-11-14T22:13:20Z"], ["c0"]),
        (["--since", "1h"], []),
    ],
)
def test_calls_are_chosen_alike_in_a_store_and_in_logs(store, log, options, found):
    for source in (["--store", store], ["--log", log]):
        assert idents(ran("calls", *source, *options, "--json")) == found


def test_json_is_the_record(store, log):
    assert ran("calls", "--store", store, "--json").encode() == log.read_bytes()


def test_a_call_that_is_in_two_logs_is_listed_once(log, tmp_path):
    packed = tmp_path / "trace.jsonl.1.gz"
    packed.write_bytes(gzip.compress(b'torn{"ts\n[1]\n\n' + log.read_bytes()[:-1]))
    output = ran("calls", "--log", packed, "--log", log, "--json")
    assert idents(output) == ["c0", "c1", "c2", "c3"]
    assert "2 lines are no records of calls" in output


def test_a_limit_says_that_there_is_more(store):
    output = ran("calls", "--store", store, "--limit", 2)
    assert [line.split()[-1] for line in output.splitlines()[:2]] == ["c2", "c3"]
    assert "more with --limit" in output


def test_a_condition_that_records_cannot_answer_is_noted(store):
    output = ran("calls", "--store", store, "--where", "args.amount > 5")
    assert "no such calls" in output
    assert "of 4 records it is not known" in output


@pytest.mark.parametrize(
    ("condition", "said"),
    [("tol == 'x'", "unknown variable tol"), ("tool ==", "column"), ("status", "not true or false")],
)
def test_a_condition_that_is_none_is_a_mistake(store, condition, said):
    assert said in ran("calls", "--store", store, "--where", condition, code=2)


def test_what_strangers_wrote_cannot_move_the_cursor(store):
    output = ran("run", "show", "r1", "--store", store)
    assert "\x1b" not in output
    assert "ask a person\\u001b[2J" in output


def test_runs_are_listed_with_what_they_did(store):
    head, *rows = ran("runs", "--store", store).splitlines()
    assert head.split()[:4] == ["run", "agent", "state", "began"]
    assert [row.split()[0] for row in rows] == ["r1", "r2"]
    assert rows[0].split()[2] == "finished"
    assert rows[0].split()[-8:] == ["s", "3", "1", "-", "0.25", "USD", "bank,", "llm"]
    one, two = [json.loads(line) for line in ran("runs", "--store", store, "--json").splitlines()]
    assert (one["calls"], one["refused"], two["failed"], two["agent"]) == (3, 1, 1, "bob")
    assert "no such runs" in ran("runs", "--store", store, "--agent", "eve")


@pytest.mark.parametrize("command", [("run", "show"), ("runs", "show")])
def test_a_run_is_told_as_a_story(store, command):
    output = ran(*command, "r1", "--store", store)
    head, *lines = output.splitlines()
    assert head == "run r1 of treasurer: finished"
    assert "3 calls, 1 refused, 0 failed, 0.25 USD" in lines[0]
    assert lines[1] == "labels: tainted"
    assert lines[2].endswith("active -> finished after a silence")
    text = "\n".join(lines)
    for part in (
        "+0.000 s  llm POST /chat  allow 200",
        "proposes transfers: made as c1",
        "proposes wipe: taken out by p/no-wipe",
        "proposed by the model in c0 (a guess: only its name or its arguments fit)",
        "the agent says: reason pay the bill",
        "+2.000 s  bank POST /transfers  refuse 403 policy_denied by payments/large",
        "rule payments/large: deny (Enforce) too large",
        "guard concurrency: refused, 0 left, room after 2 s",
        "why: ask a person",
    ):
        assert part in text
    assert "r2" not in text
    assert all(line == line.rstrip() for line in lines)


def test_a_story_tells_what_people_said(tmp_path):
    ruling = Ruling(True, "apr-1", ("ada", "bob"), "edit", edited={"n": 1}, waited=2.5)
    asked = structs.replace(TRACES[1], decision=structs.replace(TRACES[1].decision, ruling=ruling))
    reader_of(tmp_path / "asked.db", [asked]).close()
    told = ran("runs", "show", "r1", "--store", tmp_path / "asked.db")
    assert "people: edit by ada, bob, with other arguments after 2.5 s  apr-1" in told


def test_a_story_as_json_has_the_records(store):
    story = json.loads(ran("runs", "show", "r1", "--store", store, "--json"))
    assert [step["record"]["call"] for step in story["steps"]] == ["c0", "c1", "c2"]
    assert story["steps"][0]["proposals"][0] == {
        "name": "transfers",
        "refused": "",
        "made": "c1",
        "id": "",
        "loosely": True,
    }
    assert [one["after"] for one in story["transitions"]] == ["active", "finished"]


def test_a_run_that_is_not_there_is_told(store):
    assert "there is no run 'r9' of bob" in ran("run", "show", "r9", "--agent", "bob", "--store", store, code=1)


def config(folder: Path, trace: str) -> Path:
    (folder / "policies").mkdir(exist_ok=True)
    (folder / "policies" / "p.yaml").write_text(
        "apiVersion: toolgate/v1\nkind: Grant\nmetadata: {name: g}\nspec: {agents: ['*'], tools: ['*']}\n"
    )
    path = folder / "toolgate.yaml"
    path.write_text(f"tools: {{bank: {{url: 'http://127.0.0.1:1'}}}}\n{trace}\n")
    return path


def test_a_configuration_names_its_store_from_its_own_folder(store, tmp_path):
    path = config(tmp_path, "trace: {store: {}}")
    assert len(ran("calls", "-c", path).splitlines()) == 4
    assert "run r1" in ran("run", "-c", path, "show", "r1")
    assert "run r1" in ran("runs", "-c", path, "show", "r1")


def test_calls_can_be_looked_at_while_the_policies_are_broken(store, tmp_path):
    path = config(tmp_path, "trace: {store: {path: traces.db}}")
    (tmp_path / "policies" / "p.yaml").write_text("kind: [\n")
    assert len(ran("calls", "-c", path).splitlines()) == 4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("trace: {store: {keep: soon}}", "trace.store in"),
        ("trace: [", "toolgate.yaml:"),
        ("---\ntrace: {}", "is no configuration"),
        ("trace: {store: {path: missing.db}}", "there is no trace store"),
    ],
)
def test_a_configuration_that_names_no_usable_store_is_told(tmp_path, text, said):
    assert said in ran("calls", "-c", config(tmp_path, text), code=1)


def test_a_configuration_without_a_store_is_told_what_to_write(tmp_path):
    assert "write trace: {store: {}} there" in ran("runs", "-c", config(tmp_path, "trace: {}"), code=1)


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["calls"], 2, "give one of -c CONFIG, --store FILE and --log FILE"),
        (["calls", "--store", "a", "--log", "b"], 2, "not several"),
        (["calls", "--store", "missing.db"], 1, "there is no trace store missing.db"),
        (["calls", "--log", "missing.jsonl"], 1, "cannot read missing.jsonl"),
        (["tail"], 2, "give one of"),
        (["run"], 2, "Missing option '-c' / '--config'"),
    ],
)
def test_a_source_that_is_missing_is_told(args, code, said):
    assert said in ran(*args, code=code)


def test_tail_shows_the_last_calls_and_then_those_that_end(store):
    writer = open_for_writing(str(store))
    reader = TraceReader(open_for_reading(store))
    shown: list[str] = []
    news = [[made(5, DENIED)], [made(6, ALLOWED), made(7, DENIED)]]

    def rest() -> None:
        if not news:
            raise KeyboardInterrupt
        insert(writer, kept(*news.pop(0)))

    with pytest.raises(KeyboardInterrupt):
        follow(reader, Filter(decision="refuse"), 1, lambda row: shown.append(row.call), rest)
    assert shown == ["c2", "c5", "c7"]
    writer.close()
    reader.close()


def test_tail_begins_with_nothing_where_that_is_asked_for(store, monkeypatch):
    def rest(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", rest)
    assert ran("tail", "--store", store, "-n", 0) == ""
    assert idents(ran("tail", "--store", store, "-n", 2, "--json")) == ["c2", "c3"]


def test_agents_of_inner_runs_are_named_in_the_tree(tmp_path):
    inner = Run("sub", root=("treasurer", "r1"), led=("treasurer", "r1"), depth=1, lineage="token")
    reader_of(tmp_path / "t.db", [made(0), structs.replace(made(1), agent=Agent("helper"), run=inner)]).close()
    output = ran("run", "show", "r1", "--store", tmp_path / "t.db")
    assert "run r1 of treasurer and 1 more" in output
    assert "helper (sub)  bank POST /transfers" in output
    assert ran("run", "show", "sub", "--agent", "helper", "--store", tmp_path / "t.db") == output
    assert "there is no run" in ran("run", "show", "sub", "--agent", "bob", "--store", tmp_path / "t.db", code=1)


def test_arguments_are_told_in_the_story_as_far_as_there_is_room(tmp_path):
    connection = open_for_writing(str(tmp_path / "t.db"))
    for number, args in enumerate(({"to": "EVIL99"}, {"note": "x" * 1000})):
        one = made(number)
        line = json.dumps(json.loads(line_of(one)) | {"args": args}).encode() + b"\n"
        insert(connection, [stored(one, line)])
    connection.close()
    output = ran("run", "show", "r1", "--store", tmp_path / "t.db")
    assert 'with {"to":"EVIL99"}' in output
    assert "x" * 200 + "..." in output.replace("\n", "")
    assert "x" * 250 not in output
