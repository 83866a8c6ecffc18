"""The recorded story of one call, out of the trace log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import orjson

from gateway.cli.guard_text import left_text
from gateway.observe.memory_words import memory_words


def record_of(ident: str, file: Path) -> dict[str, Any]:
    """The record of the call with this id.

    Raises:
        click.ClickException: the file cannot be read, or has no such call.
    """
    wanted = ident.encode()
    try:
        with file.open("rb") as lines:
            for line in lines:
                if wanted in line and (record := _record(line)) and record.get("call") == ident:
                    return record
    except OSError as error:
        raise click.ClickException(f"cannot read {file}: {error.strerror or error}") from None
    hint = "is it the right file? A log that was rotated has it in an older one"
    raise click.ClickException(f"there is no call {ident!r} in {file} ({hint})")


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None  # torn by a crash, or not ours
    return record if isinstance(record, dict) else None


def tell(record: dict[str, Any]) -> None:
    """Write the story for people."""
    who = record["agent"] or "nobody who was recognised"
    roles = f" ({', '.join(record['roles'])})" if record["roles"] else ""
    click.echo(f"{record['ts']}  call {record['call']}, policy {record['policy_version'] or '-'}")
    click.echo(f"  {who}{roles}" + (f", run {record['run']}" if record["run"] else ""))
    operation = f", operation {record['operation']}" if record["operation"] else ""
    click.echo(f"  {record['method']} {record['path']} -> tool {record['tool'] or '-'}{operation}")
    if record["grant"]:
        click.echo(f"  granted by {record['grant']}")
    for rule in record["rules"]:
        text = (rule["error"] and f"could not be evaluated: {rule['error']}") or rule["message"] or ""
        about = rule.get("label") or ", ".join(rule.get("fields", ()))  # records of older versions have neither
        verdict = f"{rule['verdict']} {about}" if about else rule["verdict"]
        click.echo(f"  rule {rule['policy']}/{rule['rule']}: {verdict} ({rule['mode']}) {text}".rstrip())
    for guard in record["guards"]:
        state = f", {guard['state']}" if guard["state"] else ""
        click.echo(f"  guard {guard['guard']}: {'granted' if guard['granted'] else 'refused'}{left_text(guard)}{state}")
    for words in memory_words(record):
        click.echo(f"  memory: {words}")
    _tell_end(record)


def _tell_end(record: dict[str, Any]) -> None:
    decision = record["decision"] or "the agent left before a decision"
    if record["reason"]:
        decision = f"refused: {record['reason']}" + (f" by {record['rule']}" if record["rule"] else "")
        decision += f": {record['detail']}"
    click.echo(f"  decision: {decision}")
    timings = record["timings"]
    upstream = f"tool answered {record['upstream_status']}" if record["upstream_status"] else "tool was not asked"
    if record["upstream_status"] and timings["upstream_first_byte_ms"] is not None:
        upstream += f" after {timings['upstream_first_byte_ms']:g} ms"
    click.echo(
        f"  {upstream}; agent got {record['status']}, {record['bytes_out']} bytes, in {timings['total_ms']:g} ms"
    )
    _tell_answer(record)
    if record["error"]:
        click.echo(f"  broken by the {record['fault'] or 'gateway'}: {record['error']}")


def _tell_answer(record: dict[str, Any]) -> None:
    """What was changed, read and kept back. Records of older versions have none of it."""
    for change in record.get("amendments", ()):
        click.echo(f"  changed in the request: {change}")
    if withheld := record.get("withheld"):
        click.echo(f"  kept from the agent: {withheld['reason']} by {withheld['rule']}: {withheld['detail']}")
    if proposed := record.get("proposed"):
        calls = [one["name"] + (f" (taken out by {one['refused']})" if one["refused"] else "") for one in proposed]
        click.echo(f"  the model proposed: {', '.join(calls)}")
    cost = record.get("cost_usd")
    spent = [] if cost is None else [f"{cost:g} US dollars"]
    if usage := record.get("usage"):
        spent = [f"{usage['input']} tokens read, {usage['output']} written", *spent]
    if spent:
        click.echo(f"  cost: {', '.join(spent)}")
    for note in record.get("notes", ()):
        click.echo(f"  note: {note}")
