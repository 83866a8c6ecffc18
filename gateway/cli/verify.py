"""``toolgate verify`` and ``toolgate audit``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from gateway.observe.chain.verify import Proofs, Report

BROKEN, OPEN = 1, 3
"""Exit codes: something was changed or is missing; nothing was, but the end is not final."""

_folder = click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="FOLDER")


@click.command("verify")
@_folder
@click.option(
    "--key", "key_file", type=click.Path(path_type=Path), metavar="FILE", help="Holds the key of checkpoints."
)
@click.option("--expect", default="", metavar="HASH", help="A record that must be there, as /readyz told its hash.")
@click.option(
    "--after", default="", metavar="HASH", help="What the first record follows, if earlier files are elsewhere."
)
@click.option(
    "--log", "logs", multiple=True, type=click.Path(path_type=Path), metavar="FILE", help="A trace to hold to it."
)
@click.pass_context
def verify(
    context: click.Context, folder: Path, key_file: Path | None, expect: str, after: str, logs: tuple[Path, ...]
) -> None:
    """Find every edit, removal, insertion, swap and truncation in the audit of FOLDER.

    Exits with 0 where it is whole and the gateway ended in good order, 1 where it is not whole, 3 where it is whole but
    its tail is open: a gateway still writes it, or was killed.
    """
    from gateway.observe.chain.records import GENESIS
    from gateway.observe.chain.verify import prove
    from gateway.observe.chain.verify import verify as look

    try:
        key = None if key_file is None else _key(key_file)
        report = look(folder, key, after.lower() or GENESIS, expect)
        proofs = prove(folder, logs) if logs else None
    except (OSError, ValueError) as error:
        raise click.ClickException(_why(error)) from None
    for flaw in report.flaws:
        click.echo(str(flaw))
    _tell(report, signed=key is not None)
    if proofs is not None:
        _tell_proofs(proofs)
    if not report.whole or (proofs is not None and proofs.changed):
        context.exit(BROKEN)
    context.exit(0 if report.closed else OPEN)


@click.group("audit")
def audit() -> None:
    """Look after an audit."""


@audit.command("forget")
@_folder
@click.option("--run", help="Of this run...")
@click.option("--agent", help="... and of this agent; either or both.")
def forget(folder: Path, run: str | None, agent: str | None) -> None:
    """Forget what calls were about: afterwards their records in the trace cannot be proven, nor guessed from the audit.

    The chain still holds. The records in trace logs and stores are to be deleted there.
    """
    from gateway.observe.chain.folder import forget as wipe

    try:
        wiped = wipe(folder, run=run, agent=agent)
    except (OSError, ValueError) as error:
        raise click.ClickException(_why(error)) from None
    click.echo(f"{_count(wiped, 'record')} of {'a call' if wiped == 1 else 'calls'} can no longer be proven")


def _key(path: Path) -> bytes:
    key = path.read_bytes().removesuffix(b"\n").removesuffix(b"\r")
    if not key:
        raise ValueError(f"{path} is empty")
    return key


def _tell(report: Report, *, signed: bool) -> None:
    last = report.last
    if not report.whole:
        click.echo(f"BROKEN: {_count(len(report.flaws), 'flaw')} in {_count(report.records, 'record')}")
        return
    click.echo(
        f"whole: {_count(report.records, 'record')} in {_count(report.segments, 'segment')},"
        f" the last is {last.seq} with hash {last.hash}"
    )
    if report.checkpoint.seq and signed:
        click.echo(f"signed up to record {report.checkpoint.seq}")
    elif report.checkpoint.seq:
        click.echo("signatures were not looked at: give --key" if not report.unsigned else "checkpoints are not signed")
    if not report.closed:
        rest = f", and {report.torn} bytes of a line that was cut short" if report.torn else ""
        click.echo(
            f"the tail is open: a gateway still writes here, or was killed. Nothing speaks yet for"
            f" {_count(report.tail, 'record')} after checkpoint {report.checkpoint.seq}{rest}"
        )


def _tell_proofs(proofs: Proofs) -> None:
    for flaw in proofs.changed:
        click.echo(str(flaw))
    one = proofs.proven == 1
    known = "is as the audit knows it" if one else "are as the audit knows them"
    click.echo(f"{_count(proofs.proven, 'record')} of the trace {known}")
    if proofs.forgotten:
        click.echo(f"{proofs.forgotten} {'was' if proofs.forgotten == 1 else 'were'} forgotten, and cannot be proven")
    if proofs.unknown:
        click.echo(f"{proofs.unknown} {'is' if proofs.unknown == 1 else 'are'} not in the audit")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _why(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"cannot read {error.filename}: {error.strerror or error}"
    return str(error)
