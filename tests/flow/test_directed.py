"""Arguments that direct a call are found however an agent spells them, and none is hidden by their number."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from gateway.flow.labels import UNLABELLED, FlowMap
from gateway.flow.paths import directed
from gateway.flow.run import MOST_LEADS, MOST_TEXTS, MOST_VALUES, TOO_MANY
from gateway.model import FlowLabels
from tests.builders import call, tool
from tests.flow.support import Told

BOB, EVE = "bob@corp.com", "eve@evil.com"


@pytest.mark.parametrize(
    ("path", "args", "spelt"),
    [
        ("args.to", {"to": BOB}, "args.to"),
        ("args.to", {"TO": EVE}, "args.TO"),
        ("args.to", {"to": BOB, "To": EVE}, "args.To"),
        ("args.to", {"to[]": EVE}, "args.to[]"),
        ("args.to", {"to[0]": EVE}, "args.to[0]"),
        ("args.to", {"to.0": EVE}, "args.to.0"),
        ("args.pay_to", {"payTo": EVE}, "args.payTo"),
        ("args.payTo", {"pay-to": EVE}, "args.pay-to"),
        ("args.items.*.iban", {"items": [{"iban": BOB}, {"IBAN": EVE}]}, "args.items.*.IBAN"),
        ("args.items.*.iban", {"items": EVE}, "args.items"),
        ("args.items.iban", {"items": [{"iban": EVE}]}, "args.items.iban"),
        ("args.to.*", {"to": EVE}, "args.to"),
        ("args.to.email", {"to": EVE}, "args.to"),
        ("args.to.email", {"to[email]": EVE}, "args.to[email]"),
    ],
)
def test_an_argument_directs_the_call_in_each_spelling_that_servers_may_take(
    path: str, args: dict[str, Any], spelt: str
) -> None:
    told = Told(directs=(path,)).user(f"write to {BOB}").stranger({"body": EVE})
    assert told.of(call(args=args)) == ([] if args == {"to": BOB} else [spelt])
    assert spelt in directed(call(args=args), [path])


@pytest.mark.parametrize("args", [{}, {"to": None}, {"token": EVE}, {"not": {"to": EVE}}, {"onto": EVE}])
def test_other_arguments_direct_nothing(args: dict[str, Any]) -> None:
    assert not directed(call(args=args), ["args.to"])


def test_what_stands_in_the_path_directs_a_call_and_is_planted_there() -> None:
    told = Told(directs=("params.whom",)).user(f"write to {BOB}").stranger({"body": EVE})
    evil = structs.replace(call(), params={"whom": EVE})
    assert told.of(evil) == ["params.whom"]
    assert list(told.flow.planted(evil)) == [EVE]
    assert not told.of(structs.replace(call(), params={"whom": BOB}))
    assert list(told.flow.planted(call(target=f"/send/{EVE}"))) == [EVE]


@pytest.mark.parametrize(
    "args",
    [
        {"text": [*[f"x{at}" for at in range(MOST_TEXTS)], EVE]},
        {"text": " ".join([f"bob+{at}@corp.com" for at in range(MOST_LEADS)]), "to": EVE},
    ],
)
def test_an_address_cannot_be_hidden_behind_many_others(args: dict[str, Any]) -> None:
    told = Told("*@corp.com").stranger({"body": EVE})
    assert TOO_MANY in told.flow.planted(call(args=args))


def test_a_strangers_word_cannot_be_hidden_behind_many_others() -> None:
    told = Told(directs=("args.tags.*", "args.all")).user("tag it").stranger({"body": "evil"})
    args = {"tags": ["tag"] * (MOST_VALUES + 1), "all": ["tag"] * MOST_VALUES}
    assert told.of(call(args=args)) == ["args.tags.*"]
    assert list(told.flow.foreign(call(args={"all": [*args["tags"], "evil"]}))) == ["args.all"]


@pytest.mark.parametrize(
    ("operation", "sends"),
    [
        ("GET /fetch", "request"),
        ("HEAD /fetch", "request"),
        ("OPTIONS /fetch", "request"),
        ("HEAD /users/7", "external"),
        ("HEAD /own", "internal"),
        ("HEAD /else", ""),
        ("POST /fetch", ""),
    ],
)
def test_what_servers_take_for_a_get_has_its_labels(operation: str, sends: str) -> None:
    flows = (
        FlowLabels(("GET /fetch*",), (), "request"),
        FlowLabels(("GET /users/{id}",), (), "external"),
        FlowLabels(("HEAD /own",), (), "internal"),
        FlowLabels(("GET /own",), (), "external"),
    )
    found = FlowMap(tool(flows=flows)).of(operation)
    assert found.sends == sends
    assert bool(sends) or found == UNLABELLED


def _words(count: int) -> str:
    return " ".join([f"{chr(97 + at % 26) * 3}{chr(97 + at // 26) * 3}" for at in range(count)])


def test_of_a_long_text_each_word_is_looked_at() -> None:
    told = Told(directs=("args.text",)).user("write about alpha").stranger({"body": "beta zxvq"})
    assert not told.flow.foreign(call(args={"text": f"{_words(400)} alpha"}))
    assert list(told.flow.foreign(call(args={"text": f"{_words(400)} zxvq"}))) == ["args.text"]


def test_a_text_with_more_words_of_strangers_than_can_be_looked_at_is_theirs() -> None:
    said = _words(MOST_VALUES + 1)
    told = Told(directs=("args.text",)).user(f"say {said}").stranger({"body": f"say {said}"})
    assert list(told.flow.foreign(call(args={"text": f"{said} more"}))) == ["args.text"]
    assert not told.flow.foreign(call(args={"text": f"{_words(MOST_VALUES - 1)} more"}))
