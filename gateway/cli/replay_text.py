"""The report of a replay for people."""

from __future__ import annotations

from typing import Any

import click

from gateway.cli.check import counted

_TITLES = {
    ("deny", "allow"): ("would be refused", "red"),
    ("deny", "approve"): ("would be refused without asking", "red"),
    ("allow", "deny"): ("would be allowed", "green"),
    ("allow", "approve"): ("would be allowed without asking", "green"),
    ("approve", "allow"): ("would wait for a person", "yellow"),
    ("approve", "deny"): ("would wait for a person instead of being refused", "yellow"),
}


def tell(report: dict[str, Any]) -> None:
    """Write the report to standard output."""
    log = report["log"]
    span = f" from {log['first']} to {log['last']}" if log["calls"] else ""
    click.echo(f"{counted(log['calls'], 'call')}{span}, policies {report['policy_version']}{_against(report)}")
    for group in report["changes"]:
        _tell_group(group)
    for unknown in report["unknowns"]:
        click.echo()
        click.secho(f"{counted(unknown['calls'], 'call')} unknown", fg="magenta", nl=False)
        click.echo(f": {unknown['why']}")
        _tell_examples(unknown["examples"], why=False)
    click.echo()
    _tell_sum(report)
    for note in report["notes"]:
        click.echo(f"note: {note}")


def _against(report: dict[str, Any]) -> str:
    if report["baseline_version"]:
        return f" against {report['baseline_version']}"
    versions = len(report["log"]["versions"])
    return " against what was decided" + (f" (by {versions} versions)" if versions > 1 else "")


def _tell_group(group: dict[str, Any]) -> None:
    title, color = _TITLES[group["change"], group["before"]]
    by = "that were refused by" if group["change"] == "allow" else "by"
    click.echo()
    click.secho(f"{counted(group['calls'], 'call')} {title}", fg=color, nl=False)
    cost = f", {group['cost_usd']:.2f} USD" if group["cost_usd"] else ""
    runs = f", {counted(group['runs'], 'run')}" if group["runs"] else ""
    click.echo(f" {by} {group['rule'] or '-'}: {counted(group['agents'], 'agent')}{runs}{cost}")
    _tell_examples(group["examples"], why=True)


def _tell_examples(examples: list[dict[str, Any]], *, why: bool) -> None:
    for one in examples:
        run = f" run {one['run']}" if one["run"] else ""
        click.echo(f"  {one['ts']} {one['call']} {one['agent'] or '-'}{run}: {one['tool']} {one['operation'] or '-'}")
        if why and one["why"]:
            click.echo(f"    {one['why']}")


def _tell_sum(report: dict[str, Any]) -> None:
    log = report["log"]
    click.echo(f"{report['same']} the same, {report['changed']} changed, {report['unknown']} unknown", nl=False)
    click.echo(f", {report['not_decided']} that no policy decides" if report["not_decided"] else "")
    if report["newly_asked"]:
        approvals = counted(report["newly_asked"], "new approval")
        click.echo(f"{approvals}, about {report['approval_minutes']:g} minutes of a person's time")
    if report["saved_usd"]:
        click.echo(f"{report['saved_usd']:.2f} USD of {report['recorded_usd']:.2f} USD not spent")
    if report["refused_by_another_rule"]:
        click.echo(
            f"{counted(report['refused_by_another_rule'], 'call')} still refused or asked about, by another rule"
        )
    left = [(log["unusable_lines"], "line", "that is no record"), (log["duplicates"], "record", "there twice")]
    for number, what, why in left:
        if number:
            click.echo(f"left out: {counted(number, what)} {why}")
