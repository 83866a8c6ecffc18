"""What guardrails say where nobody is asked: what the file says, or else nothing, as if they were away."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from msgspec import structs

from gateway.config.described import GuardrailSaid
from gateway.config.schema_guardrails import GuardrailConfig
from gateway.errors import Refused
from gateway.guardrails.formats import unanswered, unavailable
from gateway.model import Call
from gateway.street import Street

Words = Mapping[str, GuardrailSaid]
Configs = Mapping[str, GuardrailConfig]


def said(words: Words, names: Mapping[str, bool], configs: Configs) -> dict[str, Any]:
    """What each of ``names`` says; true stands for one that must answer.

    Raises:
        Refused: one must, the file does not say what, and the configuration does not go on without it.
    """
    found: dict[str, Any] = {}
    for name, must in names.items():
        word, config = words.get(name), configs.get(name)
        if word is not None and word.answered:
            found[name] = word.model_dump(mode="json")
        elif must and (config is None or config.on_failure == "refuse"):
            why = (
                "it does not answer"
                if word is not None
                else f"nothing says what it does: write guardrail: {{{name}: ...}}"
            )
            raise unavailable(name, why)
        else:
            found[name] = unanswered()
    return found


def with_said(call: Call, street: Street, words: Words, configs: Configs) -> Call:
    """The call with what guardrails say of it, where its rules read that. Raises Refused; see ``said``."""
    names = {} if street.guards is None else street.guards.of_call(call)
    if not names:
        return call
    return structs.replace(call, facts={**call.facts, "guardrail": said(words, names, configs)})


class Told:
    """What is there at once, for whoever awaits it."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __await__(self) -> Generator[None, None, Any]:
        yield from ()
        if isinstance(self._value, Refused):
            raise self._value
        return self._value
