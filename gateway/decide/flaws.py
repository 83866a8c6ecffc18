"""What the tool's own server says against a call: arguments that do not fit, a definition that was not approved.

After the grants, so that nobody learns of a tool that they may not call; before the rules, which can then rely on it.
"""

from __future__ import annotations

from gateway.decide.shapes import NOTHING, Judgement
from gateway.model import Call, Refusal


class Flaws:
    """Refuses, or asks a person about, what the reader found to be wrong with a call."""

    def judge(self, call: Call) -> Judgement:
        flaw = call.flaw
        if flaw is None:
            return NOTHING
        return Judgement(flaw) if isinstance(flaw, Refusal) else Judgement(questions=(flaw,))
