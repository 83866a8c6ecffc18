"""The simulator, in small: its clock leaps, its gateway decides as the real one, governors keep what they promise."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from benchmarks.simulate import descent, greedy, loops, money, outage, storm
from benchmarks.simulate.__main__ import SCENARIOS, main
from benchmarks.simulate.clock import now, play
from benchmarks.simulate.measures import Measured, jain, quantile, rate, recovery, total
from benchmarks.simulate.plot import Panel, draw, ticks
from benchmarks.simulate.report import BEGIN, END, table, write
from benchmarks.simulate.tools import Served, Tool
from benchmarks.simulate.world import GRANT, Answer, World
from gateway.cli.root import toolgate
from gateway.config.load import load
from tests.config.support import written

ROOT = Path(__file__).parents[1]


def figures(scenario: Any, size: int, variant: str = "no governors") -> dict[str, float]:
    return dict(play(scenario.VARIANTS[variant](7, size).run()).figures)


# -- what governors promise --------------------------------------------------------------------------------------


def test_a_storm_is_no_more_than_the_first_attempts_and_the_tool_comes_back() -> None:
    """Every agent may have its reserve of retries (two of four tokens) beside a tenth of what succeeds."""
    agents = 20
    bare, governed = figures(storm, agents), figures(storm, agents, "and a breaker")
    assert bare["amplification"] > 4
    assert bare["share of the work done in the 80 s after"] < 0.1, "without governors it does not come back at all"
    first = governed["first attempts while it fails"]
    assert governed["attempts that reach the tool"] <= 1.1 * first + 2 * agents
    assert governed["recovery (s)"] <= 20
    assert governed["share of the work done in the 80 s after"] > 0.95


def test_a_retry_budget_alone_holds_the_load_down_while_a_tool_fails() -> None:
    agents = 20
    found = figures(storm, agents, "retry budget")
    assert found["attempts that reach the tool"] <= 1.1 * found["first attempts while it fails"] + 2 * agents


def test_a_tool_that_hangs_is_left_alone_and_the_other_is_used_as_before() -> None:
    """What begins before the circuit opens hangs: one call of each agent at most, then single probes."""
    bare, governed = figures(outage, 10), figures(outage, 10, "breaker")
    assert bare["work done with the other tool"] < 0.3
    assert governed["work done with the other tool"] > 0.85
    assert governed["calls into the tool that hangs"] <= 10 + 5
    assert governed["recovery (s)"] <= 20


def test_a_greedy_agent_gets_its_share_and_pushes_nobody_beyond_twice_the_fair_wait() -> None:
    bare, governed = figures(greedy, 100), figures(greedy, 100, "pool")
    assert bare["Jain index of those who always wait"] < 0.5
    assert governed["Jain index of those who always wait"] >= 0.95
    assert governed["polite call against its fair share"] <= 2
    assert governed["calls a second"] >= 0.99 * bare["calls a second"], "no place stays empty while somebody waits"


def test_runs_that_go_round_in_circles_are_stopped_and_the_others_are_not_touched() -> None:
    governed = figures(loops, 40, "loop")
    assert figures(loops, 40)["amplification of the worst run"] == loops.PATIENCE
    assert governed["amplification"] <= 1.1
    assert governed["amplification of the worst run"] <= 3
    assert governed["calls refused of runs that are not"] == 0


def test_agents_that_call_agents_end_where_their_tree_of_runs_does() -> None:
    """Each part is a run of its own, of another agent: only what the tool passes on says where it belongs."""
    assert figures(descent, 2)["calls for each task"] > 500
    governed = figures(descent, 2, "run")
    assert governed["calls for each task"] <= 50
    assert governed["deepest call"] <= 4


@pytest.mark.parametrize("variant", ["budget", "budget, two replicas"])
def test_a_budget_is_never_overspent_and_used_before_anybody_is_refused(variant: str) -> None:
    """The bill is the provider's: what it counted itself."""
    governed = figures(money, 1000, variant)
    assert figures(money, 1000, "rule over what was spent")["overspent ($)"] > 0.1, (
        "a rule sees what was spent, not what is under way"
    )
    assert governed["overspent ($)"] == 0
    assert governed["calls refused"] > 0
    assert governed["cost of the calls made before one was refused ($)"] >= 0.95


def test_the_same_seed_gives_the_same_numbers() -> None:
    first, again, other = (figures_of(seed) for seed in (3, 3, 4))
    assert first == again != other


def figures_of(seed: int) -> Measured:
    return play(storm.VARIANTS["and a breaker"](seed, 4).run())


# -- what to begin with ------------------------------------------------------------------------------------------


def test_the_policies_to_begin_with_load_and_let_usual_work_through(tmp_path: Path) -> None:
    starter = (ROOT / "policies" / "governance" / "starter.yaml").read_text()
    played = play(loops.Play(starter, 7, 40).run()).figures
    assert played["calls refused of runs that are not"] == 0
    assert played["amplification of the worst run"] <= 3
    priced = 'tools:\n  files: {url: "http://127.0.0.1:7000", cost: 0.50}\n  bank: {url: "http://127.0.0.1:7001"}\n'
    assert list(load(written(tmp_path, priced, s=starter + "---\n" + GRANT)).warnings) == []
    (warning,) = load(written(tmp_path, s=starter + "---\n" + GRANT)).warnings
    assert "the budget never counts a dollar" in str(warning), "nothing has a price: it says that it bounds nothing"


def test_the_cases_of_the_policies_to_begin_with_hold() -> None:
    done = CliRunner().invoke(toolgate, ["test", str(ROOT / "policies" / "governance")])
    assert done.exit_code == 0, done.output
    assert "0 failed" in done.output


# -- the clock ---------------------------------------------------------------------------------------------------


def test_time_leaps_to_whatever_comes_next_in_order() -> None:
    seen: list[tuple[float, str]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        seen.append((now(), name))

    async def both() -> None:
        await asyncio.gather(sleeper("late", 86_400), sleeper("soon", 0.5))

    play(both())
    assert seen == [(0.5, "soon"), (86_400.0, "late")]


def test_waiting_for_what_never_happens_is_an_error() -> None:
    async def forever() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(RuntimeError, match="nothing will ever happen"):
        play(forever())


# -- the gateway and the tools -----------------------------------------------------------------------------------


def test_a_call_goes_the_way_of_the_pipeline_and_is_recorded() -> None:
    async def calls() -> tuple[World, list[Answer]]:
        world = World("", {"bank": Tool(1, 0.25, lambda call, body, at: Served(200, body))})
        return world, [await world.call("a", "r", "/bank/x", {"n": 1}), await world.call("a", "r", "/nobody/x", {})]

    world, (answered, refused) = play(calls())
    assert (answered.ok, answered.body, answered.reason) == (True, b'{"n":1}', "")
    assert (refused.status, refused.reason) == (404, "unknown_tool")
    first, second = world.traces
    assert (first.agent is not None and first.agent.id, first.run.id, first.outcome.upstream) == ("a", "r", 200)
    assert (first.ended - first.began, second.outcome.upstream) == (0.25, 0)


def test_a_tool_has_so_many_workers_and_does_not_know_who_has_gone() -> None:
    async def overload() -> tuple[Tool, list[Answer], float]:
        tool = Tool(2, 1.0, timeout=1.5)
        world = World("", {"bank": tool})
        answers = await asyncio.gather(*[world.call("a", "r", f"/bank/{n}", {}) for n in range(6)])
        given_up = now()
        await asyncio.sleep(10)
        return tool, answers, given_up

    tool, answers, given_up = play(overload())
    assert [answer.status for answer in answers] == [200, 200, 504, 504, 504, 504]
    assert (given_up, tool.most, tool.in_flight, len(tool.arrivals)) == (1.5, 2, 0, 6)


# -- measures, tables, plots -------------------------------------------------------------------------------------


def test_measures_of_what_can_be_counted_by_hand() -> None:
    assert rate([0.5, 1.5, 1.6, 9.0], 4.0, 2.0) == [(1.0, 1.5), (3.0, 0.0)]
    assert total([(0.5, 2.0), (1.5, 3.0)], 3.0) == [(0.0, 0.0), (1.0, 2.0), (2.0, 5.0), (3.0, 5.0)]
    assert (jain([1, 1, 1, 1]), jain([4, 0, 0, 0]), jain([])) == (1.0, 0.25, 1.0)
    assert (quantile([3, 1, 2], 0.5), quantile([1, 2], 1.0), quantile([], 0.5)) == (2, 2, 0.0)


def test_recovery_counts_only_what_lasts() -> None:
    well = [at / 10 for at in range(200, 400)]
    assert recovery(well, 10.0, 10.0, 40.0) == pytest.approx(10.0, abs=0.5)
    relapse = [at for at in well if at < 30]
    assert recovery(relapse, 10.0, 10.0, 40.0) == 30.0


@pytest.mark.parametrize("most", [0.0, 0.3, 1, 7, 24, 99.5, 3680])
def test_an_axis_has_a_few_even_steps_that_reach_all(most: float) -> None:
    steps = ticks(most)
    assert steps[0] == 0
    assert steps[-1] >= most
    assert 2 <= len(steps) <= 8
    assert len({round(after - before, 9) for before, after in pairwise(steps)}) == 1


def test_a_plot_is_an_image_with_words_for_all_its_lines() -> None:
    curve = [(0.0, 1.0), (5.0, 12.0)]
    names = ["no governors", "a retry budget", "a pool & more", "all of these together"]
    svg = ElementTree.fromstring(draw("a <storm>", [Panel("load", dict.fromkeys(names, curve), (1.0, 2.0))]))
    texts = [element.text for element in svg.iter() if element.tag.endswith("text")]
    assert {"load", "seconds", *names} <= set(texts)
    assert svg[0].text == "a <storm>"
    assert "prefers-color-scheme: dark" in (svg[1].text or "")
    paths = [element for element in svg.iter() if element.tag.endswith("path")]
    assert len({path.get("stroke-dasharray") for path in paths}) == len(names), "told apart without colours"


def test_tables_and_pages(tmp_path: Path) -> None:
    text = table({"without": Measured({"calls": 3680, "share": 0.128}), "with": Measured({"calls": 12, "share": 1})})
    assert text.split("\n")[2:] == ["| calls | 3,680 | 12 |", "| share | 0.13 | 1 |"]
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write(page, ["one", "two"])
    assert page.read_text() == f"before\n{BEGIN}\none\n\ntwo\n{END}\nafter\n"
    page.write_text("no marks")
    with pytest.raises(ValueError, match="simulate:begin"):
        write(page, [])


def test_the_page_shows_every_scenario_with_its_plot() -> None:
    text = (ROOT / "docs" / "governance.md").read_text()
    for name, scenario in SCENARIOS.items():
        assert f"### {scenario.TITLE}\n" in text
        assert f"(img/{name}.svg)" in text
        ElementTree.parse(ROOT / "docs" / "img" / f"{name}.svg")
        assert all(f" {variant} |" in text for variant in scenario.VARIANTS)


def test_the_command_plays_what_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--only", "outage", "--seed", "3"])
    told = capsys.readouterr().out
    assert "## Outage" in told
    assert "| breaker |" in told
    for wrong in (["--only", "nothing"], ["--only", "outage", "--write-docs"]):
        with pytest.raises(SystemExit):
            main(wrong)
