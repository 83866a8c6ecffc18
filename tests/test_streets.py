"""From one version of configuration and policies to what stands along the way of each tool's calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from gateway.config.load import Loaded, load
from gateway.decide.prices import Unpriced
from gateway.decide.runs import Bounds
from gateway.model import Agent, Run
from gateway.pipeline import Street
from gateway.streets import Streets
from gateway.understand.http import HttpReader
from gateway.understand.kept import Kept
from gateway.understand.llm import LlmReader
from gateway.understand.mcp import McpReader
from gateway.understand.route import Router
from tests.builders import call, request
from tests.config.support import GRANT, written

URL = "tools:\n  github:\n    url: 'https://api.github.com'\n"


def loaded(folder: Path, config: str = "", rules: str = "") -> Loaded:
    """One tool with these lines of configuration, and these rules (YAML flow mappings)."""
    text = URL + "".join(f"    {line}\n" for line in config.splitlines())
    made = GRANT
    if rules:
        made += f"---\napiVersion: toolgate/v1\nkind: Policy\nmetadata: {{name: p}}\nspec: {{rules: [{rules}]}}\n"
    return load(written(folder, text, p=made))


def street(folder: Path, config: str = "", rules: str = "") -> Street:
    made = Streets(loaded(folder, config, rules), Kept(), lambda: 0.0).all()
    assert list(made) == ["github"]
    return made["github"]


def rule(when: str, phase: str = "request") -> str:
    return f"{{name: r, phase: {phase}, when: '{when}', then: deny}}"


@pytest.mark.parametrize(
    ("protocol", "reader"),
    [("http", HttpReader), ("mcp", McpReader), ("openai", LlmReader), ("anthropic", LlmReader), ("gemini", LlmReader)],
)
def test_each_tool_gets_the_reader_of_its_protocol(protocol: str, reader: Any, tmp_path: Path) -> None:
    assert type(street(tmp_path, f"protocol: {protocol}").reader) is reader


@pytest.mark.parametrize(
    ("config", "rules", "reads"),
    [
        ("", "", False),
        ("", rule("has(args.x)"), False),
        ("", rule("response.status == 200", "response"), True),
        ("cost: 0.5", "", False),
        ('cost: "double(size(args))"', "", False),
        ('cost: "double(size(result))"', "", True),
        ('cost: "response.isError ? 0.0 : 1.0"', "", True),
        ('cost: "response.status == 200 ? 1.0 : 0.0"', "", False),
    ],
)
def test_the_answers_of_a_plain_tool_are_read_only_where_something_reads_them(
    config: str, rules: str, reads: bool, tmp_path: Path
) -> None:
    made = street(tmp_path, config, rules)
    assert (made.results is not None) is reads
    assert made.reader.plain(call()) is reads
    assert made.priced is (reads and "cost" in config)


@pytest.mark.parametrize(
    ("config", "rules", "reads"),
    [
        ("", "", False),
        ("", rule("has(args.x)"), True),
        ("", rule('result.x == "y" && args.x == 1', "response"), True),
        ('cost: "double(size(args))"', "", True),
        ('cost: "double(size(result))"', "", False),
    ],
)
def test_bodies_are_read_ahead_for_rules_of_any_phase_and_for_prices(
    config: str, rules: str, reads: bool, tmp_path: Path
) -> None:
    reader = street(tmp_path, config, rules).reader
    assert isinstance(reader, HttpReader)
    assert reader.reads_args is reads


@pytest.mark.parametrize(
    ("config", "rules", "reads"),
    [
        ("cost: 0.5", "", False),
        ("cost: 0.5", rule("run.cost_usd > 1.0"), True),
        ("cost: 0.5", rule("run.cost_usd > 1.0", "response"), True),
        ('cost: "run.cost_usd > 1.0 ? 0.0 : 0.1"', "", True),
    ],
)
def test_what_a_run_has_cost_is_looked_up_only_where_something_reads_it(
    config: str, rules: str, reads: bool, tmp_path: Path
) -> None:
    assert street(tmp_path, config, rules).reads_cost is reads


@pytest.mark.parametrize(
    ("config", "rules", "reads"),
    [
        ("cost: 0.5", rule("run.cost_usd > 1.0"), False),
        ("cost: 0.5", rule("request.time.getHours() < 6"), True),
        ("cost: 0.5", rule("default(args.at, request.time) < request.time", "response"), True),
        ('cost: "request.time.getHours() < 6 ? 0.0 : 0.1"', "", True),
    ],
)
def test_a_call_is_told_its_time_only_where_something_reads_it(
    config: str, rules: str, reads: bool, tmp_path: Path
) -> None:
    assert street(tmp_path, config, rules).reads_time is reads


def test_models_have_prices_and_other_tools_only_where_one_is_given(tmp_path: Path) -> None:
    assert street(tmp_path).pricer is None
    assert street(tmp_path, "protocol: mcp").pricer is None
    assert street(tmp_path, "protocol: mcp\ncost: 0.1").pricer is not None
    assert street(tmp_path, "protocol: openai").pricer is not None


@pytest.mark.parametrize(
    ("config", "refuses"),
    [
        ("cost: 0.01", False),
        ("protocol: openai", False),
        ("protocol: openai\nprices: {unknown: refuse}", True),
    ],
)
def test_calls_are_asked_for_their_price_only_where_one_without_is_refused(
    config: str, refuses: bool, tmp_path: Path
) -> None:
    assert any(type(check) is Unpriced for check in street(tmp_path, config).checks) is refuses


def test_known_prices_are_loaded_only_for_tools_that_are_models(tmp_path: Path) -> None:
    assert loaded(tmp_path).model_prices is None
    assert loaded(tmp_path, "protocol: mcp\ncost: 0.1").model_prices is None
    assert loaded(tmp_path, "protocol: anthropic").model_prices is not None


def test_settings_of_answers_and_prices_arrive(tmp_path: Path) -> None:
    made = loaded(tmp_path, "body: {answer_limit: 64KiB}\ncost: 0.25")
    (tool,) = made.tools
    assert tool.answer_limit == 64 * 1024
    assert made.call_prices.keys() == {"github"}
    assert loaded(tmp_path).tools[0].answer_limit == 2 << 20
    assert loaded(tmp_path).call_prices == {}


@pytest.mark.parametrize("change", ["cost: 0.25", "body: {answer_limit: 1}", "protocol: mcp"])
def test_what_is_new_in_a_configuration_is_a_new_version(change: str, tmp_path: Path) -> None:
    assert loaded(tmp_path, change).version != loaded(tmp_path).version


def test_a_reload_keeps_what_a_server_has_offered(tmp_path: Path) -> None:
    kept, made = Kept(), loaded(tmp_path, "protocol: mcp")
    Streets(made, kept, lambda: 0.0).all()
    assert [name for name, _, _ in kept.unapproved()] == ["github", "github"]
    (tool,) = made.tools
    catalogue = kept.catalogue(tool, made.pinnings["github"])
    Streets(made, kept, lambda: 0.0).all()
    assert kept.catalogue(tool, made.pinnings["github"]) is catalogue
    assert kept.catalogue(structs.replace(tool, base_path="/other"), made.pinnings["github"]) is not catalogue
    kept.keep(())
    assert list(kept.unapproved()) == []


@pytest.mark.parametrize(("settings", "asks"), [("", True), ("llm: {stream_usage: estimate}", False)])
def test_usage_of_streams_is_asked_for_or_estimated(settings: str, asks: bool, tmp_path: Path) -> None:
    made = loaded(tmp_path, f"protocol: openai\n{settings}")
    reader = Streets(made, Kept(), lambda: 0.0).all()["github"].reader
    body = b'{"model": "m", "messages": [], "stream": true}'
    of = request("POST", "/github/chat/completions", [("Content-Type", "application/json")], length=len(body))
    route = Router(made.tools).route(of)
    assert (reader.read("i", of, route, Agent("a"), Run(), body).body is not None) is asks


@pytest.mark.parametrize("name", ["run.steps", "run.errors_in_row"])
def test_what_a_run_has_done_is_looked_up_only_where_something_reads_it(name: str, tmp_path: Path) -> None:
    assert street(tmp_path, rules=rule(f"{name} > 3")).counts
    assert not street(tmp_path, rules=rule("run.cost_usd > 3.0")).counts


BOUND = "---\napiVersion: toolgate/v1\nkind: Run\nmetadata: {name: b}\nspec: {match: {tools: [one]}, steps: 9}\n"
TWO = "tools:\n  one: {url: 'http://127.0.0.1:1'}\n  two: {url: 'http://127.0.0.1:2'}\n"


@pytest.mark.parametrize(
    ("lineage", "bound", "when", "traces"),
    [
        ("", "", "", False),
        ("", BOUND, "", True),
        ("", "", "run.depth > 1", True),
        ("", "", "run.id == run.root", True),
        ("", "", "run.steps > 1", False),
        ("lineage: {propagate: never}\n", BOUND, "", False),
        ("lineage: {propagate: always}\n", "", "", True),
    ],
)
def test_calls_are_traced_through_all_tools_or_none(
    lineage: str, bound: str, when: str, traces: bool, tmp_path: Path
) -> None:
    """What a tool calls in turn may be any other tool."""
    policies = GRANT + bound
    if when:
        rules = f"{{match: {{tools: [two]}}, rules: [{{name: r, when: '{when}', then: deny}}]}}"
        policies += f"---\napiVersion: toolgate/v1\nkind: Policy\nmetadata: {{name: p}}\nspec: {rules}\n"
    made = Streets(load(written(tmp_path, lineage + TWO, p=policies)), Kept(), lambda: 0.0).all()
    assert [made[name].traces for name in ("one", "two")] == [traces, traces]
    assert [any(type(quota) is Bounds for quota in made[name].quotas) for name in ("one", "two")] == [
        bool(bound),
        False,
    ]
