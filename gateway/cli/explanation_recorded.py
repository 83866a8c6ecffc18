"""A recorded call, explained by policies as they are now, as far as its record knows what they read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import click
import msgspec

from gateway.cli.explanation import explanation_of, refused_early
from gateway.config.load import Loaded
from gateway.model import Refusal
from gateway.policy.tokens import chains, literal, tokenize
from gateway.rehearse.needs import HEADERS, MEMORY
from gateway.rehearse.rebuild import Rebuilder
from gateway.rehearse.records import Record
from gateway.rehearse.stage import Stage
from gateway.rehearse.timeline import wall_of

OF_RUNS = ("run.cost_usd", "run.labels", "run.steps", "run.errors_in_row", "run.age")
"""What a record does not tell of its run."""


_NEVER_KEPT = frozenset({"agent.claims", "guardrail", "run.drift", "run.unverified", *MEMORY})
"""What records lack in most cases, which is told only where some rule reads it."""


def explanation_of_record(record: dict[str, Any], loaded: Loaded) -> dict[str, Any]:
    """As for a described call, with what the record says of it under ``recorded``.

    Rules that hang on something that the record lacks have a result that begins with ``unknown: ``.

    Raises:
        click.ClickException: the record cannot be made a call again; it says why.
    """
    try:
        read = msgspec.convert(record, Record)
        at = wall_of(read.ts)
    except (msgspec.ValidationError, ValueError) as error:
        raise click.ClickException(f"the record cannot be read: {error}") from None
    stage = Stage(loaded, at)
    rebuilt = Rebuilder(stage.streets, stage.router, at).of(read, 0.0)
    if isinstance(rebuilt, str):
        raise click.ClickException(f"the call cannot be explained by these policies: {rebuilt}")
    told = {**record_of(record), "missing": []}
    if isinstance(rebuilt, Refusal):
        return {**refused_early(rebuilt, loaded), "recorded": told}
    if rebuilt.call.parts:
        raise click.ClickException("a batch of calls cannot be explained as one call")
    missing = (*rebuilt.missing, *OF_RUNS) if read.run else rebuilt.missing
    reads = loaded.book.reads(rebuilt.call.tool.name)
    told["missing"] = sorted({name for name in rebuilt.missing if name not in _NEVER_KEPT or name in reads})
    return {**explanation_of(rebuilt.call, loaded, lacking_of(missing, read.headers)), "recorded": told}


def record_of(record: dict[str, Any]) -> dict[str, Any]:
    """What was decided of the call when it was made, in which version, and what its guards said."""
    keys = ("call", "ts", "policy_version", "decision", "reason", "rule", "detail", "guards")
    return {key: record.get(key) for key in keys}


def lacking_of(missing: Sequence[str], headers: Collection[str]) -> Callable[[str], str]:
    """For ``explanation_of``: whether an expression reads one of these variables, or paths at, above or below them, or
    headers beside those that were recorded."""

    def lacking(expression: str) -> str:
        gone: set[str] = set()
        for path in _paths(expression):
            gone.update(name for name in missing if _touches(path, name))
            if path.startswith(HEADERS) and path.removeprefix(f"{HEADERS}.") not in headers:
                gone.add(path)
        return f"the record lacks {', '.join(sorted(gone))}" if gone else ""

    return lacking


def _touches(path: str, gone: str) -> bool:
    return path == gone or path.startswith(f"{gone}.") or gone.startswith(f"{path}.")


def _paths(expression: str) -> list[str]:
    """What the expression reads, by dotted names; ``request.headers.NAME`` for one header in brackets."""
    tokens = tokenize(expression)
    behind = {token.start: number + 1 for number, token in enumerate(tokens)}
    paths = []
    for chain in chains(tokens):
        path, at = ".".join(chain.variable), behind[chain.tokens[-1].start]
        if path == HEADERS and at + 2 < len(tokens) and tokens[at].text == "[" and tokens[at + 2].text == "]":
            path = f"{HEADERS}.{literal(tokens[at + 1])}"
        if path:
            paths.append(path)
    return paths
