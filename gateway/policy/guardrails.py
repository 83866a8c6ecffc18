"""Guardrails in expressions: which ones are read, and that each is read by its name.

``guardrail.NAME.flagged`` tells at load which classifier a rule asks; ``guardrail["NAME"]`` or a loop over all of them
would tell it only when a call is there.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.policy.tokens import Chain, chains, tokenize

VARIABLE = "guardrail"
ANSWERS = ("flagged", "score", "labels", "answered", "detail")
"""What can be read of each."""


def read_in(sources: Iterable[str]) -> frozenset[str]:
    """The guardrails that these expressions name."""
    return frozenset(chain.names[1] for source in sources for chain in _chains(source) if len(chain.variable) > 1)


def mistakes_in(source: str, known: Iterable[str]) -> list[tuple[int, str, str]]:
    """What is wrong with how an expression reads guardrails: where (characters from 0), what, and how to write it."""
    names, found = sorted(known), []
    for chain in _chains(source):
        at, variable = chain.tokens[0].start, chain.variable
        if len(variable) < 2:
            hint = f"write {VARIABLE}.{names[0] if names else 'NAME'}.flagged"
            found.append((at, "a guardrail is read by its name, so that it is known which one to ask", hint))
        elif variable[1] not in names:
            hint = f"configured are {', '.join(names)}" if names else f"write it under guardrails: {variable[1]}: ..."
            found.append((at, f"there is no guardrail {variable[1]} in the configuration", hint))
        elif len(variable) > 2 and variable[2] not in ANSWERS:
            hint = f"there are {', '.join(ANSWERS)}"
            found.append((at, f"a guardrail says nothing that is called {variable[2]}", hint))
    return found


def _chains(source: str) -> list[Chain]:
    if VARIABLE not in source:
        return []
    return [chain for chain in chains(tokenize(source)) if chain.names[0] == VARIABLE and chain.variable]
