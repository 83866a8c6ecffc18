"""An explanation, laid out for people."""

from __future__ import annotations

import json
from typing import Any

import click

WIDEST = 200
"""Characters of a value that is shown."""


def tell(explanation: dict[str, Any]) -> None:
    """Write an explanation (see explanation.py) to standard output."""
    call = explanation["call"]
    if call is not None:
        _call(call)
        _grant(explanation)
        _rules(explanation["rules"])
        _guards(explanation)
    _verdict(explanation)


def _call(call: dict[str, Any]) -> None:
    roles = f" (roles {', '.join(call['roles'])})" if call["roles"] else ""
    run = f", run {call['run']}" if call["run"] else ""
    click.echo(f"call      {call['agent']}{roles}{run} -> {call['tool']}: {call['operation']}")
    for name in ("params", "args", "facts"):
        if call[name]:
            _line(f"{name} {_shown(call[name])}")
    for amendment in call["amendments"]:
        _line(f"changed: {amendment}")


def _grant(explanation: dict[str, Any]) -> None:
    if explanation["grant"] is not None:
        click.echo(f"grant     {explanation['grant']} allows it")
        return
    click.echo("grant     none allows it" + (", the nearest are" if explanation["nearest_grants"] else ""))
    for near in explanation["nearest_grants"]:
        _line(f"{near['grant']}: {'; '.join(near['misses'])}")


def _rules(rules: list[dict[str, Any]]) -> None:
    if not rules:
        click.echo("rules     none can match")
    for number, rule in enumerate(rules):
        label = "rules" if number == 0 else ""
        mode = "" if rule["mode"] == "Enforce" else f" ({rule['mode']}: never enforced)"
        result = rule["result"] if rule["result"] in ("true", "false") else f"cannot be evaluated: {rule['result']}"
        color = {"true": "yellow", "false": None}.get(rule["result"], "red")
        click.echo(
            f"{label:<10}{rule['policy']}/{rule['rule']}: {click.style(result, fg=color)}, then {rule['then']}{mode}"
        )
        _line(f"  when {' '.join(rule['when'].split())}")
        for name, expression in rule["variables"].items():
            _line(f"  where {name} is {' '.join(expression.split())}")
        for name, value in rule["read"].items():
            _line(f"  read {name} = {_shown(value)}")
        if rule["message"]:
            _line(f"  says {rule['message']}")


def _guards(explanation: dict[str, Any]) -> None:
    for limit in explanation["limits"]:
        wait = f", waits up to {limit['max_wait']:g} s" if limit["max_wait"] else ""
        key = f"key {_key(limit['key'])}" if limit["error"] is None else f"refuses: {limit['error']}"
        click.echo(f"limit     {limit['limit']}: {limit['rate']}, bursts of {limit['burst']:g}{wait}; {key}")
    for breaker in explanation["breakers"]:
        click.echo(f"breaker   {breaker['breaker']}: key {_key(breaker['key'])}")
    if explanation["concurrency"]:
        click.echo(f"places    {explanation['concurrency']} calls at once")


def _verdict(explanation: dict[str, Any]) -> None:
    verdict = explanation["verdict"]
    if verdict["decision"] == "allow":
        click.echo(f"verdict   {click.style('allowed', fg='green')}, unless a limit or breaker has run out by then")
    else:
        by = f" by {verdict['rule']}" if verdict["rule"] else ""
        click.echo(f"verdict   {click.style('refused', fg='red')} with {verdict['status']} {verdict['reason']}{by}")
        _line(verdict["detail"])
        if verdict["advice"]:
            _line(f"advice: {verdict['advice']}")
    click.echo(f"version   {explanation['version']}")


def _line(text: str) -> None:
    click.echo(f"          {text}")


def _key(parts: list[str]) -> str:
    return " ".join(parts) or "(one for all)"


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= WIDEST else f"{text[:WIDEST]}... ({len(text)} characters)"
