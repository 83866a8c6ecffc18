"""What verdicts tell and suggest, for people at a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from gateway.cli.columns import span, table
from gateway.policy.visible import visible

_RULES = ("RULE", "VERDICTS", "APPROVED", "95% INTERVAL", "EDITED", "WAITED", "LOOKED", "UNDER 3s", "DRIFT", "AGREE")
_PEOPLE = ("PERSON", "VERDICTS", "APPROVED", "LOOKED", "UNDER 3s", "IN A ROW", "CHECKS CAUGHT")


def tell_stats(told: dict[str, Any]) -> None:
    """Write both tables."""
    if not told["samples"]:
        click.echo("nobody has decided on anything yet")
        return
    for line in table(_RULES, [_rule(one) for one in told["rules"]]):
        click.echo(line)
    click.echo()
    for line in table(_PEOPLE, [_person(one) for one in told["people"]]):
        click.echo(line)
    for one in told["rules"]:
        for who in one["apart"]:
            click.echo(f"note: {visible(who)} decides on {visible(one['rule'])} unlike the others, not by chance")
    if told["suggestions"]:
        click.echo(f"{len(told['suggestions'])} changes of rules are suggested: toolgate approvals suggest")


def _rule(one: dict[str, Any]) -> tuple[str, ...]:
    low, high = one["credible"]
    drift, alpha = one["drift"], one["alpha"]
    return (
        one["rule"],
        str(one["n"]),
        f"{one['rate']:.1%}",
        f"{low:.1%} - {high:.1%}",
        f"{one['edited']:.0%}",
        span(one["median_waited"]),
        span(one["median_looked"]),
        _share(one["rubber_stamps"]),
        "-" if drift is None else f"{drift[0]:.0%} -> {drift[1]:.0%}",
        "-" if alpha is None else f"{alpha:.2f}",
    )


def _person(one: dict[str, Any]) -> tuple[str, ...]:
    return (
        one["who"],
        str(one["n"]),
        f"{one['approved'] / one['n']:.1%}",
        span(one["median_looked"]),
        _share(one["rubber_stamps"]),
        str(one["streak"]),
        f"{one['caught']} of {one['canaries']}" if one["canaries"] else "-",
    )


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def tell_suggestions(found: Sequence[dict[str, Any]], samples: int, *, written: bool) -> None:
    """Write each suggestion; its patch only where it is not in a file already."""
    if not found:
        click.echo(f"{samples} verdicts suggest no change")
        return
    for number, one in enumerate(found, 1):
        low, high = one["interval"]
        color = "green" if one["kind"] == "loosen" else "red"
        click.secho(f"{number}. {one['kind']} {visible(one['rule'])}", fg=color)
        click.echo(f"   {visible(one['text'])} (95% interval {low:.1%} - {high:.1%})")
        for caution in one["cautions"]:
            click.secho(f"   caution: {visible(caution)}", fg="yellow")
        click.echo(f"   {_replayed(one)}")
        if one["patch"] and not written:
            click.echo()
            click.echo("\n".join([f"   {visible(line)}" for line in one["patch"].splitlines()]))
        click.echo()
    click.echo("nothing is applied: a person changes policies")


def _replayed(one: dict[str, Any]) -> str:
    report = one["replay"]
    if report is None:
        return str(one["problem"])
    calls = report["log"]["calls"]
    changes = [
        f"{report[key]} {word}"
        for key, word in (
            ("newly_allowed", "would be allowed without asking"),
            ("newly_refused", "would be refused"),
            ("newly_asked", "would wait for a person"),
        )
        if report[key]
    ]
    text = f"replay of {calls} recorded calls: {', '.join(changes) or 'none would be decided otherwise'}"
    for unknown in report["unknowns"]:
        text += f"; {unknown['calls']} cannot be replayed: {unknown['why']}"
    return text
