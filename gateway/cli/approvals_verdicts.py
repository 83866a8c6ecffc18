"""Verdicts from the command line: what is decided on, by whom, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from gateway.cli.operate import Gateway, me


def one_of(gateway: Gateway, ident: str) -> Any:
    """All that is known of the approval whose id begins so."""
    from urllib.parse import quote

    return gateway.ask("GET", f"/api/approvals/{quote(ident, safe='')}")


def edit_of(one: Mapping[str, Any]) -> str:
    """The edit that this person has before them."""
    return one["edit"]["id"] if one["edit"] is not None else ""


def who(gateway: Gateway, by: str | None) -> dict[str, str]:
    """Who decides, where the gateway cannot know.

    Raises:
        click.UsageError: it can, and a name was given all the same.
    """
    if not gateway.open:
        if by is not None:
            raise click.UsageError("--by is for gateways that ask for no token: this one knows you by yours")
        return {"via": "cli"}
    return {"via": "cli", "by": by or me()}


def confirm_edit(one: Mapping[str, Any]) -> None:
    """Other arguments stand there than the agent sent: nobody should approve them unseen.

    Raises:
        click.Abort: this person does not want it so.
    """
    from gateway.cli.approvals_text import diff

    click.echo(f"{one['edit']['by']} has put in other arguments:")
    for line in diff((one["payload"] or {}).get("args"), one["edit"]["args"]):
        click.echo(line)
    click.confirm("let it be made so?", abort=True)


def proposed(gateway: Gateway, ident: str, number: int) -> str:
    """The condition of this proposal, counted from 1.

    Raises:
        click.ClickException: there is none.
    """
    found = gateway.ask("GET", f"/api/approvals/{ident}/proposals")["proposals"]
    if number > len(found):
        there = f"there are {len(found)}" if found else "there are none"
        raise click.ClickException(
            f"no condition {number} is proposed for this call; {there}. Or write one with --like"
        )
    when: str = found[number - 1]["when"]
    return when


def decide(gateway: Gateway, one: Mapping[str, Any], decision: Mapping[str, Any]) -> None:
    """Give this verdict, and tell how the approval stands after it.

    Raises:
        click.ClickException: it cannot be given, and why.
    """
    after = gateway.ask("POST", f"/api/approvals/{one['id']}/decide", decision)
    left = after["approvers"] - after["approvals"]
    more = f"; {left} more must approve" if after["state"] == "waiting" and after["approvals"] else ""
    _told(after["id"], f"{after['state']}{more}", after["note"])


def decide_many(gateway: Gateway, idents: Sequence[str], decision: Mapping[str, Any]) -> None:
    """The same verdict on several, each by itself.

    Raises:
        click.ClickException: not all of them could be decided on.
    """
    whole = [one_of(gateway, ident) for ident in idents]
    if any(one["edit"] is not None for one in whole) and decision["verb"] == "approve":
        raise click.ClickException("somebody has put other arguments in one of them; approve that one by itself")
    ids = [one["id"] for one in whole]
    results = gateway.ask("POST", "/api/approvals/decide", {**decision, "ids": ids})["results"]
    for each in results:
        _told(each["id"], each["state"] if each["ok"] else f"not decided: {each['detail']}", each.get("note", ""))
    failed = sum([not each["ok"] for each in results])
    if failed:
        raise click.ClickException(f"{failed} of {len(results)} were not decided")


def _told(ident: str, text: str, note: str) -> None:
    """What came of a verdict, and what the gateway says to whoever gave it."""
    from gateway.policy.visible import visible

    click.echo(visible(f"{ident} {text}"))
    if note:
        click.echo(visible(note))
