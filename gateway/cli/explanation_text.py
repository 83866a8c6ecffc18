"""An explanation, laid out for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from gateway.cli.explanation_changes_text import change_lines, shown
from gateway.cli.explanation_governors import governor_text
from gateway.cli.guard_text import left_text


def tell(explanation: dict[str, Any]) -> None:
    """Write an explanation (see explanation.py) to standard output."""
    if explanation.get("recorded"):
        _recorded(explanation["recorded"], explanation["version"])
    if explanation["call"] is not None:
        _call(explanation["call"])
        _grant(explanation)
        _rules(explanation)
        _guards(explanation)
    _verdict(explanation["verdict"])
    for number, line in enumerate(change_lines(explanation)):
        click.echo(f"{'change' if number == 0 else '':<10}{line}")
    click.echo(f"version   {explanation['version']}")


def _recorded(record: dict[str, Any], version: str) -> None:
    said = f"{record['reason']} by {record['rule']}" if record["rule"] else record["reason"]
    decision = f"refused: {said}" if record["reason"] else record["decision"] or "the agent left before a decision"
    click.echo(f"record    {record['call']} at {record['ts']}: {decision}")
    if record["policy_version"] != version:
        _line(f"decided by version {record['policy_version'] or 'unknown'}; explained by the version below")
    for name in record["missing"]:
        _line(f"{name} is not in the record, or masked")
    for guard in record["guards"] or ():
        state = f", {guard['state']}" if guard["state"] else ""
        wait = f", room after {guard['retry_after']:g} s" if guard["retry_after"] else ""
        room = "granted" if guard["granted"] else f"refused{wait}"
        _line(f"{guard['guard']}: {room}{left_text(guard)}{state}")


def _call(call: dict[str, Any]) -> None:
    roles = f" (roles {', '.join(call['roles'])})" if call["roles"] else ""
    run = f", run {call['run']}" if call["run"] else ""
    click.echo(f"call      {call['agent']}{roles}{run} -> {call['tool']}: {call['operation']}")
    for name in ("params", "args", "facts"):
        if call[name]:
            _line(f"{name} {shown(call[name])}")
    for amendment in call["amendments"]:
        _line(f"changed: {amendment}")
    for one in call.get("memory", ()):
        _line(f"{'writes' if one['writes'] else 'reads'} {one['memory']}/{one['key']}: {one['found']}")
    if drift := call.get("drift"):
        _line(f"changed since the run read it: {', '.join(drift)}")


def _grant(explanation: dict[str, Any]) -> None:
    if explanation["grant"] is not None:
        click.echo(f"grant     {explanation['grant']} allows it")
    else:
        click.echo("grant     none allows it")


def _rules(explanation: dict[str, Any]) -> None:
    rules = explanation["rules"]
    if not rules:
        click.echo("rules     none can match")
    for number, rule in enumerate(rules):
        color = {"true": "yellow", "false": None}.get(rule["result"], "red")
        result = click.style(_result(rule["result"]), fg=color)
        click.echo(f"{'rules' if number == 0 else '':<10}{rule['policy']}/{rule['rule']}: {result}, then {_then(rule)}")
        _line(f"  when {' '.join(rule['when'].split())}")
        for name, expression in rule["variables"].items():
            _line(f"  where {name} is {' '.join(expression.split())}")
        for line in _tree(rule["parts"], top=True):
            _line(f"    {line}")
        if rule["message"]:
            _line(f"  says {rule['message']}")
        for name, value in rule["annotations"].items():
            _line(f"  {name}: {value}")
    for rule in explanation["rules_of_the_answer"]:
        _line(f"{rule['policy']}/{rule['rule']}: asked in phase {rule['phase']}, then {rule['then']}")


def _result(result: str) -> str:
    known = result in ("true", "false") or result.startswith("unknown: ")
    return result if known else f"cannot be evaluated: {result}"


def _then(rule: dict[str, Any]) -> str:
    then: str = rule["then"]
    if rule["label"]:
        then += f" {rule['label']}"
    if rule["fields"]:
        then += f" {', '.join(rule['fields'])}"
    if (quarantine := rule["quarantine"]) is not None:
        end = f"for {quarantine['seconds']:g} s" if quarantine["seconds"] else "until it is lifted"
        then += f" and quarantine the {quarantine['of']} {end}"
    if rule["outside_rollout"]:
        return f"{then} (Audit: outside of the rollout)"
    return then if rule["mode"] == "Enforce" else f"{then} ({rule['mode']}: never enforced)"


def _tree(part: dict[str, Any], depth: int = 0, *, top: bool = False) -> Iterator[str]:
    """A line for each part below the condition itself, which has been told."""
    if not top or not part["parts"]:
        text = " ".join(part["text"].split())
        outcome = f"-> {_result(part['error'])}" if "error" in part else f"-> {shown(part['value'])}"
        yield f"{'  ' * depth}{text} {outcome}"
    for below in part["parts"]:
        yield from _tree(below, depth if top else depth + 1)


def _guards(explanation: dict[str, Any]) -> None:
    for limit in explanation["limits"]:
        wait = f", waits up to {limit['max_wait']:g} s" if limit["max_wait"] else ""
        refuses = limit["lacking"] or (limit["error"] and f"refuses: {limit['error']}")
        key = refuses or f"key {_key(limit['key'])}"
        click.echo(f"limit     {limit['limit']}: {limit['rate']}, bursts of {limit['burst']:g}{wait}; {key}")
        left = "" if limit["left"] is None else f"{limit['left']:g} left after this call, were it the first; "
        one, full = limit["one_more_after_s"], limit["full_after_s"]
        _line(f"{left}used up, it has room for one more after {one:g} s, for all after {full:g} s")
    for breaker in explanation["breakers"]:
        click.echo(f"breaker   {breaker['breaker']}: key {_key(breaker['key'])}")
        _line(_opens(breaker["settings"]))
    for governor in explanation["governors"]:
        click.echo(f"{governor['kind']:<10}{governor_text(governor)}")
    if explanation["concurrency"]:
        click.echo(f"places    {explanation['concurrency']} calls at once")


def _opens(settings: dict[str, Any]) -> str:
    when = [f"{settings['failures']} failures in a row"] if settings["failures"] else []
    over = f"of at least {settings['minimum']} calls in {settings['window']:g} s"
    if settings["rate"]:
        when.append(f"{settings['rate']:.0%} failures {over}")
    if settings["slow_rate"]:
        when.append(f"{settings['slow_rate']:.0%} slower than {settings['slow']:g} s {over}")
    return f"opens for {settings['open']:g} s at {' or '.join(when) or 'nothing'}"


def _verdict(verdict: dict[str, Any]) -> None:
    if verdict["decision"] == "allow":
        allowed = click.style("allowed", fg="green")
        click.echo(f"verdict   {allowed}, unless a guard has run out by then, or a quarantine stands")
    elif verdict["decision"] == "unknown":
        click.echo(f"verdict   {click.style('unknown', fg='yellow')}, since it hangs on what the record lacks")
        for why in verdict["why"]:
            _line(why)
    else:
        by = f" by {verdict['rule']}" if verdict["rule"] else ""
        click.echo(f"verdict   {click.style('refused', fg='red')} with {verdict['status']} {verdict['reason']}{by}")
        _line(verdict["detail"])
        if verdict["advice"]:
            _line(f"advice: {verdict['advice']}")


def _line(text: str) -> None:
    click.echo(f"          {text}")


def _key(parts: list[str]) -> str:
    return " ".join(parts) or "(one for all)"
