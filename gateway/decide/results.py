"""What the policies make of an answer: the result as a whole, tool calls that a model proposes, entries of lists."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import structs

from gateway.decide.rules import judgement_of
from gateway.decide.tasks import Tasks
from gateway.model import NO_FACTS, Call, Changed, Findings, Mode, Proposal, Question, Reason, Refusal, Spoke, Verdict
from gateway.policy.book import PolicyBook
from gateway.policy.governors import CompiledLoop, CompiledRetry
from gateway.policy.rules import RuleSet

UNCHECKED = "the call was made, but its result cannot be checked; do not repeat it, go on without it"
"""What an agent is told where rules read a result and cannot."""
KEPT_BACK = "the call was made, but its result is kept from you; do not repeat it, go on without it"
"""What an agent is told where rules, or people, keep a result from it."""
UNJUDGED = "a rule could not be evaluated, and what it cannot judge is refused"


Hears = Callable[[tuple[Spoke, ...]], None]


def _nobody(spoke: tuple[Spoke, ...]) -> None:
    """Hears what rules say, and does nothing about it."""


class Results:
    """Judges answers of one tool."""

    def __init__(self, book: PolicyBook, tool: str, tasks: Tasks | None = None) -> None:
        """``tasks``: what runs that are in one may be offered."""
        self.book, self.tasks = book, tasks
        phases = book.phases(tool)
        self.any_results, self.any_proposals = "response" in phases, "proposal" in phases
        self.any_asks = self.any_results and book.asks(tool)
        """Some rule may want a person to look at a result first."""
        self.compares = book.governs(CompiledLoop, tool) or book.governs(CompiledRetry, tool)

    def compared(self, call: Call) -> bool:
        """Whether a guard that compares calls matches this one; of a batch, whether one may match some part."""
        if call.parts:
            return True
        governors, tool, operation, implied = self.book.governors, call.tool.name, call.operation, call.implied
        return bool(
            governors(CompiledLoop, tool, operation, implied=implied)
            or governors(CompiledRetry, tool, operation, implied=implied)
        )

    def asks(self, call: Call) -> bool:
        """Whether a person may have to look at the result of this call before its agent gets it."""
        if not self.any_asks or call.parts:
            return False
        rules = self.book.results(call.tool.name, call.operation, implied=call.implied).rules
        return any(rule.verdict is Verdict.APPROVE and rule.mode_for(call) is Mode.ENFORCE for rule in rules)

    def of(
        self, call: Call, price: Callable[[Call, Findings], float | None], *, priced: bool, hears: Hears = _nobody
    ) -> ResultJudge:
        """The judge of one call's answer. ``price`` says what a call cost, ``priced``: it reads the result for that.
        ``hears`` is told at once what rules say."""
        return ResultJudge(self, call, price, priced=priced, hears=hears)


class ResultJudge:
    """Judges the answer to one call; see ``understand.reader.Judge``."""

    __slots__ = (
        "_book",
        "_hears",
        "_price",
        "_proposal_rules",
        "_result_rules",
        "_tasks",
        "asks",
        "call",
        "compares",
        "fields",
        "guards",
        "questions",
        "reads_proposals",
        "reads_result",
        "spoke",
        "wants_result",
    )

    def __init__(
        self,
        results: Results,
        call: Call,
        price: Callable[[Call, Findings], float | None],
        *,
        priced: bool,
        hears: Hears,
    ) -> None:
        self._book, self.call, self._price, self._hears = results.book, call, price, hears
        self._result_rules = self._rules_of_results() if results.any_results else None
        self._tasks = results.tasks
        self._proposal_rules: RuleSet | None = None
        if results.any_proposals:
            self._proposal_rules = self._book.proposals(call.tool.name, call.operation)
        self.reads_result = self._result_rules is not None and bool(self._result_rules.rules)
        self.reads_proposals = self._proposal_rules is not None and bool(self._proposal_rules.rules)
        self.wants_result = self.reads_result or priced
        self.asks = results.asks(call)
        """Nothing of the answer may pass before a person has been asked, where a rule that asks is true."""
        self.questions: tuple[Question, ...] = ()
        """What people must be asked of what was judged so far."""
        self.compares = results.compares and results.compared(call)
        self.spoke: tuple[Spoke, ...] = ()
        self.fields: tuple[Changed, ...] = ()
        self.guards: Mapping[str, Any] | None = None
        """What guardrails say of the result."""

    def _rules_of_results(self) -> RuleSet:
        call = self.call
        return self._book.results(call.tool.name, call.operation, implied=call.implied)

    def result(self, status: int, found: Findings) -> Refusal | None:
        """Judge a whole result."""
        if self._result_rules is None:
            return None
        self.fields = ()
        if found.result is None and self._needs_result(self._result_rules):
            return Refusal(
                Reason.RESULT_UNREADABLE,
                502,
                "a rule reads the result, and the answer is no JSON object that can be read",
                advice=UNCHECKED,
            )
        usage = found.usage
        facts = {
            **self.call.facts,
            "response.status": status,
            "response.isError": found.is_error,
            "llm.proposed": [{"name": one.name, "args": dict(one.args or {})} for one in found.proposed],
        }
        facts["guardrail"] = self.guards or {}  # of the result: what was said of the call is no answer
        if found.result is not None:
            facts["result"] = found.result
        if usage is not None:
            facts["usage.input_tokens"] = usage.input_tokens
            facts["usage.output_tokens"] = usage.output_tokens
            facts["usage.cost_usd"] = self._price(self.call, found) or 0.0
        return self._judge(self._result_rules, facts)

    def _needs_result(self, rules: RuleSet) -> bool:
        """Whether a rule that is enforced for this call reads the result, and so must not be passed by."""
        return any("result" in rule.references and rule.mode_for(self.call) is Mode.ENFORCE for rule in rules.rules)

    def proposal(self, proposal: Proposal) -> Refusal | None:
        """Judge one tool call that a model proposes. One whose arguments are no JSON object is refused: unreadable."""
        if self._proposal_rules is None:
            return None
        if proposal.args is None:
            return Refusal(
                Reason.RESULT_UNREADABLE, 502, f"the arguments proposed for {proposal.name!r} are not a JSON object"
            )
        facts = {**self.call.facts, "proposal.name": proposal.name, "proposal.args": proposal.args}
        return self._judge(self._proposal_rules, facts)

    def _judge(self, rules: RuleSet, facts: Mapping[str, Any]) -> Refusal | None:
        spoke = rules.judge(structs.replace(self.call, facts=facts))
        if not spoke:
            return None
        self.spoke += spoke
        self._hears(spoke)
        judged = judgement_of(spoke, "a person must look at this result first")
        refusal = judged.refusal
        if refusal is None:
            self.fields = judged.fields
            self.questions += judged.questions
            return None
        if refusal.reason is Reason.POLICY_ERROR:
            # What failed can have a piece of the answer in it ("there is no key ..."); it stands in the trace.
            return structs.replace(refusal, detail=UNJUDGED, advice=UNCHECKED)
        return structs.replace(
            refusal,
            reason=Reason.RESULT_DENIED,
            advice=KEPT_BACK,
        )

    def lists(self, operation: str, facts: Mapping[str, Any] = NO_FACTS) -> bool:
        """Whether the agent may call this operation at all."""
        call = self.call
        tool = call.tool.name
        if self._book.grant(call.agent, tool, operation) is None:
            return False
        rules, tasks = self._book.listing(tool, operation), self._tasks
        if not rules.rules and tasks is None:
            return True
        listed = structs.replace(call, operation=operation, args={}, params={}, facts=facts, implied=False)
        if tasks is not None and not tasks.lists(listed):
            return False
        return judgement_of(rules.judge(listed)).refusal is None
