"""Records as calls that an exemption is held against before it stands."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from gateway.approvals.preview import Past
from gateway.model import Mode, Verdict
from gateway.rehearse.rebuild import Rebuilder, Rebuilt
from gateway.rehearse.records import RECORDS, SAID


def past_of(lines: Iterable[bytes | str], rebuilder: Rebuilder) -> list[Past]:
    """The calls that these records tell of, without those that cannot be rebuilt."""
    found = []
    for line in lines:
        try:
            record, said = RECORDS.decode(line), SAID.decode(line)
        except (msgspec.DecodeError, ValueError):
            continue  # a record of a version that wrote something else
        rebuilt = rebuilder.of(record, 0.0)
        if isinstance(rebuilt, Rebuilt):
            asked = [
                f"{one.policy}/{one.rule}"
                for one in said.rules
                if one.verdict == Verdict.APPROVE and one.mode == Mode.ENFORCE
            ]
            if record.flaw is not None and record.flaw.rule:
                asked.append(record.flaw.rule)
            found.append(Past(rebuilt.call, tuple(dict.fromkeys(asked)), rebuilt.missing))
    return found
