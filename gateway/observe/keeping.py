"""What a record keeps of a call beyond what was decided, so that it can be decided again under other policies.

Arguments, the query and header values are kept only where the operator asks for it, and never those whose name says
that they are secret: ``masked`` names every value that is not as it came, so that a replay does not take the mask for
the value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import orjson
from msgspec import Struct, structs

from gateway.model import UNREAD, Call, Decision, Mode, Permit, Question, Refusal, Trace
from gateway.policy.fingerprints import canonical
from gateway.policy.globs import glob_regex
from gateway.policy.redaction import MASK, redact

_PROMPTS = frozenset(
    ("messages", "system", "input", "prompt", "instructions", "contents", "systeminstruction", "system_instruction")
)
"""Members of a request to a model that are a conversation: a record is read by more people than that."""

_FLAW_OF_QUESTION = "approval_required"

_MOST_KNOWN, _LONGEST_KNOWN = 4096, 128


class Keeping(Struct, frozen=True):
    """How much is kept. ``hides`` matches dotted names, lower-cased; ``headers`` are lower-cased names of fields;
    ``limit`` is in bytes of JSON for the arguments, and in characters for the query."""

    args: bool = False
    hides: re.Pattern[str] = re.compile("(?!)")
    headers: tuple[str, ...] = ()
    limit: int = 16 * 1024
    salt: bytes = b""
    """Secret of this process, with which arguments are digested: nobody else can try out what gives a digest."""
    known: dict[str, bool] = {}
    """Names that were matched already, and whether they are hidden: agents use the same few again and again."""

    @property
    def keeps(self) -> bool:
        """Whether anything is kept that is not kept always."""
        return self.args or bool(self.headers)

    def hidden(self, name: str) -> bool:
        """Whether what stands under this dotted name is secret."""
        found = self.known.get(name)
        if found is None:
            found = self.hides.fullmatch(name.lower()) is not None
            if len(name) <= _LONGEST_KNOWN:
                if len(self.known) >= _MOST_KNOWN:
                    self.known.clear()
                self.known[name] = found
        return found


NOTHING = Keeping()


def keeping(args: bool, hidden: Sequence[str], headers: Sequence[str], limit: int, salt: bytes = b"") -> Keeping:
    """The settings; ``hidden`` are globs of dotted names, in any case. ``salt`` has at most 64 bytes."""
    if not args and not headers:
        return Keeping(salt=salt)
    globs = "|".join(f"(?:{glob_regex(pattern.lower()).pattern})" for pattern in hidden)
    hides = re.compile(globs or "(?!)", re.DOTALL)
    return Keeping(args, hides, tuple(name.lower() for name in headers), limit, salt)


def kept(trace: Trace, settings: Keeping) -> dict[str, Any]:
    """The keys of a record that a replay needs: ``size, clock, host, implied, flaw, args_digest, args, query, headers,
    parts, masked``."""
    decision = trace.decision
    call = decision.call if isinstance(decision, Permit) else trace.call
    record: dict[str, Any] = {"size": trace.request.length, "clock": round(trace.began, 6)}
    if call is None:
        return record | _NO_CALL
    if settings.args and decision is not None and (fields := _unsent(decision)):
        call = _masked(call, fields)
    return record | {
        "host": call.host[:_LONGEST],
        "implied": call.implied,
        "flaw": _flaw(call.flaw),
        "args_digest": args_digest(call, settings.salt),
        **values_of(call, settings),
    }


def values_of(call: Call, settings: Keeping) -> dict[str, Any]:
    """``args, query, headers, parts, masked``."""
    masked: list[str] = []
    return {
        "args": _args(call, settings, masked),
        "query": _query(call.query, settings, masked) if settings.args else None,
        "headers": _headers(call, settings, masked) if settings.headers else {},
        "parts": [_part(part, settings) for part in call.parts],
        "masked": masked,
    }


def args_digest(call: Call, salt: bytes) -> str | None:
    """The same for arguments that are the same, whatever the order of their names; None where they were not read."""
    if call.args is UNREAD or call.parts:
        return None
    try:
        text = canonical(call.args)
    except RecursionError:
        return None
    return blake2b(text, digest_size=8, key=salt).hexdigest()


def masked_mapping(value: Mapping[str, Any], settings: Keeping) -> dict[str, Any]:
    """Arguments, or something like them, with secrets masked."""
    return _Masker(settings.hidden, frozenset(), []).mapping(value, "")


def _unsent(decision: Decision) -> tuple[str, ...]:
    """What rules wanted to be masked in a call that was then refused; one that is permitted has the masks already."""
    if isinstance(decision, Permit):
        return ()
    return tuple([field for said in decision.spoke if said.mode is Mode.ENFORCE for field in said.fields])


def _masked(call: Call, fields: tuple[str, ...]) -> Call:
    args = call.args if call.args is UNREAD else redact(call.args, fields)[0]
    parts = tuple([_masked(part, fields) for part in call.parts])
    return structs.replace(call, args=args, parts=parts, query=MASK if call.query else "")


_LONGEST = 2048
_NO_CALL: dict[str, Any] = {
    "host": None,
    "implied": False,
    "flaw": None,
    "args_digest": None,
    "args": None,
    "query": None,
    "headers": {},
    "parts": [],
    "masked": [],
}


def _flaw(flaw: Refusal | Question | None) -> dict[str, Any] | None:
    if flaw is None:
        return None
    if isinstance(flaw, Question):
        return {"reason": _FLAW_OF_QUESTION, "status": 403, "rule": flaw.rule, "detail": flaw.text[:_LONGEST]}
    return {"reason": flaw.reason, "status": flaw.status, "rule": flaw.rule or None, "detail": flaw.detail[:_LONGEST]}


def _part(call: Call, settings: Keeping) -> dict[str, Any]:
    """A call of a batch."""
    masked: list[str] = []
    return {
        "operation": call.operation[:_LONGEST],
        "implied": call.implied,
        "flaw": _flaw(call.flaw),
        "facts": {name: value for name, value in call.facts.items() if name.startswith(("mcp.", "tool."))},
        "args": _args(call, settings, masked),
        "masked": masked,
    }


def _args(call: Call, settings: Keeping, masked: list[str]) -> Any:
    """The arguments, masked; None where they were not read, are not to be kept, or are too large."""
    if not settings.args or call.args is UNREAD:
        return None
    prompts = _PROMPTS if "llm.model" in call.facts else frozenset[str]()
    shown = _Masker(settings.hidden, prompts, masked).mapping(call.args, "")
    try:
        text = orjson.dumps(shown)
    except (orjson.JSONEncodeError, RecursionError):  # a lone surrogate: no JSON could bring it back
        text = b""
    if not text or len(text) > settings.limit:
        masked[:] = ["args"]
        return None
    return orjson.Fragment(text)


class _Masker:
    """Copies arguments with secrets masked, noting the dotted name of each under ``args``."""

    __slots__ = ("_hidden", "_masked", "_prompts")

    def __init__(self, hidden: Callable[[str], bool], prompts: frozenset[str], masked: list[str]) -> None:
        self._hidden, self._prompts, self._masked = hidden, prompts, masked

    def mapping(self, value: Mapping[str, Any], at: str) -> dict[str, Any]:
        return {name: self._value(item, f"{at}.{name}" if at else name) for name, item in value.items()}

    def _value(self, value: Any, at: str) -> Any:
        if self._hidden(at) or value == MASK or (self._prompts and at.lower() in self._prompts):
            self._masked.append(f"args.{at}")
            return MASK
        if isinstance(value, dict):
            return self.mapping(value, at)
        if isinstance(value, list | tuple):
            return [self._value(item, f"{at}.{number}") for number, item in enumerate(value)]
        return value


def _query(query: str, settings: Keeping, masked: list[str]) -> str:
    """The query with the values of secret names masked."""
    if not query:
        return query
    if len(query) > settings.limit or query == MASK:
        masked.append("request.query")
        return MASK
    pairs = query.split("&")
    shown = [_pair(pair, settings) for pair in pairs]
    if shown != pairs:
        masked.append("request.query")
    return "&".join(shown)


def _pair(pair: str, settings: Keeping) -> str:
    name, equals, value = pair.partition("=")
    # Not percent-decoded: a name with an escape in it is masked, since it could be any.
    secret = "%" in name or "+" in name or settings.hidden(name)
    return f"{name}={MASK}" if equals and value and secret else pair


def _headers(call: Call, settings: Keeping, masked: list[str]) -> dict[str, str | None]:
    """Values of the fields that are to be kept; None for one that was not there."""
    shown: dict[str, str | None] = {}
    for name in settings.headers:
        value = call.request.lookup.get(name.encode("latin-1"))
        if value is not None and (settings.hidden(name) or call.agent.credential == name.encode("latin-1")):
            masked.append(f"request.headers.{name}")
            value = MASK.encode()
        shown[name] = None if value is None else value.decode("latin-1")[:_LONGEST]
    return shown
