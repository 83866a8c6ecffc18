"""Runs for people: a table of them, and one as a tree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson
from rich.console import Group
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from gateway.cli.calls_text import console, duration, measures, moment_of, plain, usd, verdict
from gateway.cli.guard_text import left_text
from gateway.observe.memory_words import memory_words
from gateway.observe.runstate import RunState, Transition
from gateway.observe.store.found import RunSummary
from gateway.observe.store.runs import Step, Story

_LONGEST = 240
"""Characters of arguments that a story tells; the record has them all."""
_STATES = {RunState.ACTIVE.value: "green", RunState.FINISHED.value: "dim"}


def table(found: Sequence[RunSummary]) -> None:
    """Print the runs, one line each."""
    columns = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("run", "agent", "state", "began", "took", "calls", "refused", "failed", "cost", "tools"):
        counts = name in ("calls", "refused", "failed")
        columns.add_column(name, overflow="fold", no_wrap=name != "tools", justify="right" if counts else "left")
    for one in found:
        columns.add_row(
            plain(one.run),
            _agents(one),
            Text(one.state, _STATES.get(one.state, "red")),
            moment_of(one.first),
            duration(one.last - one.first),
            str(one.calls),
            str(one.refused or "-"),
            str(one.failed or "-"),
            usd(one.cost_usd) if one.cost_usd else "-",
            plain(", ".join(one.tools)),
        )
    console().print(columns)


def tell(story: Story) -> None:
    """Print the run as a tree of its calls."""
    summary = story.summary
    head = Text("run ").append(plain(summary.run), "bold").append(f" of {_agents(summary)}: ")
    head.append(summary.state, _STATES.get(summary.state, "bold red"))
    cost = f", {usd(summary.cost_usd)}" if summary.cost_usd else ""
    counts = f"{summary.calls} calls, {summary.refused} refused, {summary.failed} failed{cost}"
    head.append(f"\n{moment_of(summary.first)}, {duration(summary.last - summary.first)}, {counts}", "dim")
    if story.labels:
        head.append("\nlabels: " + plain(", ".join(story.labels)), "magenta")
    for one in story.transitions:
        if not one.before and one.after == RunState.ACTIVE:
            continue
        head.append(f"\n{_transition(one, summary.first)}", _STATES.get(one.after, "red"))
    tree = Tree(head)
    for step in story.steps:
        _grow(tree, step, story)
    out = console()
    for line in out.render_lines(tree, pad=False):
        out.print(Text.assemble(*((piece.text, piece.style or "") for piece in line)), soft_wrap=True)


def _agents(summary: RunSummary) -> str:
    others = summary.agents - 1
    return plain(summary.agent or "-") + (f" and {others} more" if others > 0 else "")


def _transition(one: Transition, first: float) -> str:
    cause = f" in {one.call}" if one.call else " after a silence"
    before = one.before or "new"
    why = f", {one.reason}" * bool(one.reason) + f" by {one.rule}" * bool(one.rule)
    return plain(f"+{one.at - first:.3f} s  {before} -> {one.after}{cause}{why}")


def _grow(tree: Tree, step: Step, story: Story) -> None:
    row = step.row
    line = Text().append(f"+{row.at - story.summary.first:.3f} s  ", "dim")
    if row.run != story.summary.run or row.agent != story.summary.agent:
        line.append(f"{plain(row.agent or '-')} ({plain(row.run or '-')})  ", "cyan")
    line.append(f"{plain(row.tool or '-')} {plain(row.operation or step.record.get('path') or '-')}  ", "bold")
    line.append(verdict(row)).append(f"  {measures(row)}  {row.call}", "dim")
    branch = tree.add(Group(line, *_told(step)))
    for child in step.children:
        _grow(branch, child, story)


def _told(step: Step) -> Iterator[Text]:
    """Why, in the order in which it happened."""
    record = step.record
    if step.proposed_by:
        guess = " (a guess: only its name or its arguments fit)" if step.loosely else ""
        yield Text(f"proposed by the model in {step.proposed_by}{guess}", "cyan")
    if why := record.get("why"):
        said = "; ".join(f"{name} {why[name]}" for name in ("goal", "step", "reason", "kind") if why.get(name))
        yield Text(f"the agent says: {plain(said)}", "cyan")
    if args := record.get("args"):
        text = _value(args)
        yield Text(f"with {plain(text if len(text) <= _LONGEST else text[:_LONGEST] + '...')}")
    for rule in record.get("rules") or ():
        yield _rule(rule)
    if asked := record.get("approval"):
        yield _people(asked)
    for guard in record.get("guards") or ():
        if not guard["granted"] or guard["state"] not in (None, "closed") or guard.get("budget"):
            yield _guard(guard)
    for one in record.get("quarantines") or ():
        lasts = f"for {one['seconds']:g} s" if one["seconds"] else "until it is lifted"
        yield Text(f"puts its {one['scope']} under quarantine {lasts}: {plain(one['by'])}", "bold red")
    for words in memory_words(record):
        yield Text(f"memory: {plain(words)}", "blue")
    yield from _came_of(step)


def _people(said: Mapping[str, Any]) -> Text:
    by = f" by {', '.join(said['by'])}" if said["by"] else ""
    after = f" after {said['waited_ms'] / 1e3:.1f} s" if said["waited_ms"] else ""
    what = f"{said['verb']}{by}{', with other arguments' if said['edited'] else ''}{after}"
    return Text(f"people: {plain(what)}  {plain(said['id'] or said['why'] or '')}", "magenta")


def _came_of(step: Step) -> Iterator[Text]:
    record = step.record
    if record.get("detail"):
        yield Text(f"why: {plain(record['detail'])}", "red")
    for change in record.get("amendments") or ():
        yield Text(f"changed: {plain(change)}")
    if withheld := record.get("withheld"):
        by = f" by {withheld['rule']}" if withheld["rule"] else ""
        yield Text(f"kept from the agent: {plain(withheld['reason'] + by)}: {plain(withheld['detail'])}", "red")
    if record.get("error"):
        yield Text(f"broken by the {record.get('fault') or 'gateway'}: {plain(record['error'])}", "yellow")
    for one in step.proposals:
        made = f"made as {one.made}" if one.made else "not made"
        yield Text(f"proposes {plain(one.name)}: " + (f"taken out by {plain(one.refused)}" if one.refused else made))
    if said := (record.get("result") or {}).get("complaint"):
        yield Text(f"the tool says: {plain(said)}", "yellow")
    for note in record.get("notes") or ():
        yield Text(f"note: {plain(note)}", "dim")


def _rule(rule: dict[str, Any]) -> Text:
    said = f"could not be evaluated: {rule['error']}" if rule.get("error") else rule.get("message") or ""
    about = rule.get("label") or ", ".join(rule.get("fields") or ())
    text = f"rule {rule['policy']}/{rule['rule']}: {rule['verdict']} {about}".rstrip() + f" ({rule['mode']}) {said}"
    if values := rule.get("values"):
        text = f"{text.rstrip()}; it read " + ", ".join(f"{name} = {_value(value)}" for name, value in values.items())
    return Text(plain(text.rstrip()), "red" if rule["verdict"] == "deny" and rule["mode"] == "Enforce" else "")


def _value(value: Any) -> str:
    return orjson.dumps(value).decode()


def _guard(guard: dict[str, Any]) -> Text:
    state = f", {guard['state']}" if guard["state"] else ""
    wait = f", room after {guard['retry_after']:g} s" if guard["retry_after"] else ""
    detail = f": {guard['detail']}" if guard.get("detail") else ""
    granted = "granted" if guard["granted"] else "refused"
    if budget := guard.get("budget"):
        unit = "USD" if budget["unit"] == "usd" else budget["unit"]
        spent = f"{budget['spent']:g} of {budget['reserved']:g} {unit} spent" if guard["granted"] else "refused"
        return Text(plain(f"budget {guard['guard']}: {spent}, {guard['left']:g} left of {budget['limit']:g}{state}"))
    return Text(plain(f"guard {guard['guard']}: {granted}{left_text(guard)}{state}{wait}{detail}"))
