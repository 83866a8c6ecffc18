"""What came of a call: what was read in its answer, what it cost, and that what was reserved for it is settled."""

from __future__ import annotations

from msgspec import structs

from gateway.flow.listening import Listening
from gateway.means import Means
from gateway.model import Answered, Outcome, Permit, Ruling
from gateway.remembering import settle_writes
from gateway.story import Story


def known(means: Means, story: Story, outcome: Outcome) -> Outcome:
    """The outcome with what was read in the answer and what the call cost, which its run is told."""
    if story.answer is not None:
        outcome = _read(story, outcome)
    permit, street = story.decision, means.streets.get(story.tool)
    if street is None or street.pricer is None or not isinstance(permit, Permit):
        return outcome
    priced = street.pricer.price(permit.call, outcome)
    if priced.notes:
        found = outcome.found
        outcome = structs.replace(outcome, found=structs.replace(found, notes=found.notes + priced.notes))
    if priced.usd and story.agent is not None and not story.over:
        means.runs.add(permit.call.tree, priced.usd)
    return structs.replace(outcome, cost_usd=priced.usd)


def _read(story: Story, outcome: Outcome) -> Outcome:
    if story.answer is None:
        return outcome
    if isinstance(story.answer, Listening) and not story.answer.whole:
        story.answer.heard()
    found = story.answer.found()
    if story.judge is not None and story.judge.spoke:
        found = structs.replace(found, spoke=story.judge.spoke)
    if story.looked is not None:
        found = structs.replace(
            found,
            ruling=story.looked,
            refusal=story.withheld or found.refusal,
            notes=(*found.notes, f"result: {_said(story.looked)}"),
        )
    outcome = structs.replace(outcome, found=found)
    if found.answered and outcome.fault == "agent" and outcome.upstream and not story.over:
        # It has what it asked for: MCP clients close a stream once they have read the result.
        outcome = structs.replace(outcome, status=outcome.upstream, fault="", error="")
    return outcome


def _said(ruling: Ruling) -> str:
    by = f" by {', '.join(ruling.by)}" if ruling.by else ""
    return f"{ruling.verb}{by}{f' ({ruling.approval})' if ruling.approval else ''}"


def settle_early(means: Means, story: Story, answered: Answered) -> None:
    """Settle all that the call was given, while its result is still looked at by people: it has been made, whatever
    they say."""
    outcome = known(means, story, Outcome(answered.status, answered.status, first_byte=answered.first_byte))
    now, street = means.clock(), means.streets[story.tool]
    story.over = True
    means.ledger.settle(story.holds, outcome, now)
    if street.memory is not None:
        settle_writes(means, street.memory, story, outcome)
    if story.claimed is not None and means.desk is not None:
        approved, story.claimed = story.claimed, None
        means.desk.settle(approved, story.ident, outcome)
    if story.counted and story.call is not None:
        story.counted = False
        means.runs.ended(story.call.tree, now, failed=failed(outcome))


def failed(outcome: Outcome) -> bool:
    """Whether a call that was made has failed, as its agent sees it: no answer, an error status, or a tool's word."""
    return outcome.upstream == 0 or outcome.upstream >= 400 or bool(outcome.fault) or outcome.found.is_error


__all__ = ["failed", "known", "settle_early"]
