"""A request to a model with the head of its answer, and what becomes of the tool calls that the answer proposes."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct, structs

from gateway.model import Answered, Findings, Proposal, Reason, Refusal, Usage
from gateway.understand.dialect import Asked, Endpoint
from gateway.understand.members import tokens_of
from gateway.understand.reader import Judge

MOST_READ = 8 << 20
"""Bytes of an answer, or of one event, that are held to be read, where no other limit stands."""
CUT = "usage estimated: the answer was cut off"


class Exchange(Struct, frozen=True):
    """A request to a model and the head of its answer. ``asked`` and ``raw`` are the agent's, ``sent`` the tool's."""

    endpoint: Endpoint
    asked: Asked
    raw: bytes
    sent: bytes
    answered: Answered

    def estimate(self, seen: int, note: str) -> Findings:
        """Findings with the usage of an answer of which ``seen`` bytes came and none told its usage; ``note`` why."""
        if self.endpoint.metered == "nothing":
            return Findings(notes=(note,))
        output = tokens_of(seen) if self.endpoint.metered == "both" else 0
        usage = Usage(self.asked.model, tokens_of(len(self.sent)), output, estimated=True)
        return Findings(usage=usage, notes=(note,))


def unreadable(what: str) -> Refusal:
    """The refusal of an answer that policies look at and that cannot be read."""
    return Refusal(
        Reason.RESULT_UNREADABLE,
        502,
        f"{what}, so that the policies cannot look at it",
        advice="the model was asked and may have been paid; the answer is kept from you",
    )


UNMASKED = unreadable("fields of the tool's answer are to be masked, which is not done in events")
"""The refusal of a stream with fields that rules want to be masked."""


class Verdicts(Struct, frozen=True):
    """What became of proposals: all of them as recorded, those that were refused with the text in their place, and
    the first refusal."""

    proposed: tuple[Proposal, ...]
    refused: tuple[tuple[Proposal, str], ...]
    refusal: Refusal | None


def judge_proposals(judge: Judge, proposed: Sequence[Proposal]) -> Verdicts:
    """Judge the tool calls that a model proposes, one by one."""
    if not judge.reads_proposals:
        return Verdicts(tuple(proposed), (), None)
    recorded: list[Proposal] = []
    refused: list[tuple[Proposal, str]] = []
    first: Refusal | None = None
    for proposal in proposed:
        refusal = judge.proposal(proposal)
        if refusal is None:
            recorded.append(proposal)
            continue
        first = first or refusal
        rule = refusal.rule or refusal.reason.value
        recorded.append(structs.replace(proposal, refused=rule))
        refused.append((proposal, f"[call of {proposal.name} refused by policy {rule}: {refusal.detail}]"))
    return Verdicts(tuple(recorded), tuple(refused), first)


def shown(found: Findings) -> Findings:
    """The findings as rules see them: of the proposals only those that the agent will see."""
    return structs.replace(found, proposed=tuple([each for each in found.proposed if not each.refused]))
