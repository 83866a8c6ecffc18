"""What must not be read in logs, records, metrics and pages, found and masked: in one place, for all of them.

- Credentials that the gateway holds (``tools.*.credential``), in every form of ``credentials.forms_of``: always.
- What an agent showed as its own credential with this very call: always, in the call's record.
- What looks like a credential (``shapes.SHAPES``), and personal data (``personal.KINDS``): where it is turned on.

A line that holds nothing of it, as nearly all do, is looked through once and passed on as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any
from urllib.parse import unquote_to_bytes

import orjson
import re2

from gateway.detect.personal import KINDS, iban_in, is_card
from gateway.detect.shapes import SHAPES, is_word
from gateway.model import Trace
from gateway.observe.credentials import LEAST, forms_of, secrets_of
from gateway.observe.lent import LentSecrets

_MOST = 4096
"""Forms of credentials that are looked for; a credential that was replaced is for as long as there is room."""
_KNOWN_LENGTH, _MOST_KNOWN = 512, 2048
"""Bytes of texts that are remembered to hold nothing secret, and how many of them are."""
_ROUNDS = 2
"""How often a text is percent-decoded: an agent's client may do it once more than needed."""
_ESCAPE = re.compile(rb"%[0-9A-Fa-f]{2}")

Own = Sequence[bytes]
"""Values that are secret in one record only."""


_CREDENTIALS = (b"authorization", b"proxy-authorization", b"x-api-key", b"api-key", b"x-goog-api-key")
"""Where agents put what they show as their own."""


def own_of(trace: Trace) -> Own:
    """What the agent showed with this call, as its key or for the tool: nobody else knows it."""
    lookup = trace.request.lookup
    shown = [lookup[name].rpartition(b" ")[2] for name in _CREDENTIALS if name in lookup]
    if trace.agent is not None and trace.agent.credential and trace.agent.credential not in _CREDENTIALS:
        shown.append(lookup.get(trace.agent.credential, b""))
    return [value for value in shown if len(value) >= LEAST] if shown else ()


class Redactor:
    """Masks texts, and whole records. Quiet; ``adopt`` may be called again at any time."""

    def __init__(self, *, secrets: bool = True, personal: bool = False) -> None:
        """``secrets``, ``personal``: whether what looks like a credential, or like personal data, is masked too."""
        self._shapes = [(shape, _compiled(shape.pattern)) for shape in SHAPES] if secrets else []
        self._which = _set_of([shape.pattern for shape in SHAPES]) if secrets else None
        """Tells which shapes are in a text, in one pass: an agent must not be able to make each of them be tried."""
        self._personal = [(kind.name, _compiled(kind.pattern)) for kind in KINDS] if personal else []
        self._looks = [f"(?:{shape.pattern})" for shape in SHAPES] if secrets else []
        self._held: dict[bytes, str] = {}
        self._lent = LentSecrets()
        self._passed: set[bytes] = set()
        self._forms: Any = None
        self._starts: Any = None
        self._any_secret: Any = None
        self._anything: Any = None
        self._compile()

    def adopt(self, credentials: Iterable[tuple[str, str]]) -> None:
        """Look for these from now on, too: the name of a tool, and the value of a field that it gets."""
        held: dict[bytes, str] = {}
        for tool, value in credentials:
            for secret in secrets_of(value):
                held |= dict.fromkeys(forms_of(secret) - held.keys(), tool)
        for form, tool in self._held.items():
            if len(held) >= _MOST:
                break
            held.setdefault(form, tool)
        if held.keys() != self._held.keys():
            self._held = held
            self._compile()

    def learn(self, tool: str, secret: str) -> None:
        """Look for this too, which was fetched for a tool."""
        self._lent.learn(tool, secret)
        self._passed.clear()

    def text(self, text: str) -> str:
        """The text with masks: ``[redacted:credential:TOOL]``, ``[redacted:github]``, ``[redacted:email]``."""
        return self._text(text, ())

    def held(self, data: bytes) -> bytes:
        """What an agent is told, without credentials that the gateway holds; the same bytes where there are none."""
        data = self._lent.masked(data)
        return self._secrets(data, (), shapes=False) if _finds(self._forms, data) else data

    def page(self, data: bytes) -> bytes:
        """What an operator is shown, also without what looks like a credential; the same bytes where there are none."""
        data = self._lent.masked(data)
        return self._secrets(data, (), shapes=True) if _finds(self._any_secret, data) else data

    def line(self, line: bytes, own: Own = ()) -> bytes:
        """The line of a record (JSON) with masks; the same bytes where there is nothing to mask.

        What was masked is added to the names under ``masked``.

        Raises:
            ValueError: it is no JSON.
        """
        if not self.suspicious(line, own):
            return line
        record = orjson.loads(line)
        masked = _Record(partial(self._text, own=own), cards=bool(self._personal)).record(record)
        return orjson.dumps(masked, option=orjson.OPT_APPEND_NEWLINE) if masked is not record else line

    def passes(self, texts: bytes, own: Own) -> bool:
        """Whether there is nothing to mask in some short texts of a call: mostly the same as of the calls before it."""
        if own or len(texts) > _KNOWN_LENGTH:
            return not self.suspicious(texts, own)
        if texts in self._passed:
            return True
        if self.suspicious(texts):
            return False
        if len(self._passed) >= _MOST_KNOWN:
            self._passed.clear()
        self._passed.add(texts)
        return True

    def suspicious(self, data: bytes, own: Own = ()) -> bool:
        """Whether there may be something to mask."""
        if self._matches(data, own):
            return True
        return b"%" in data and any(self._matches(decoded, own) for decoded in _decoded(data))

    def _matches(self, data: bytes, own: Own) -> bool:
        if _finds(self._anything, data) or self._lent.finds(data):
            return True
        for secret in own:
            if secret in data:
                return True
        return len(data) >= _CUT and _finds(self._starts, data)

    def _text(self, text: str, own: Own) -> str:
        if len(text) < LEAST:
            return text
        data = text.encode("utf-8", "replace")
        if not self.suspicious(data, own):
            return text
        masked = self._masks(data, own)
        for decoded in _decoded(masked):
            if (again := self._masks(decoded, own)) != decoded:
                masked = again
        return masked.decode("utf-8", "replace") if masked != data else text

    def _masks(self, data: bytes, own: Own) -> bytes:
        return self._without_personal(self._without_cut(self._secrets(self._lent.masked(data), own, shapes=True)))

    def _secrets(self, data: bytes, own: Own, *, shapes: bool) -> bytes:
        if self._forms is not None:
            data = self._forms.sub(lambda form: b"[redacted:credential:%b]" % self._held[form[0]].encode(), data)
        for secret in own:
            data = data.replace(secret, b"[redacted:key]")
        if shapes and self._which is not None and _finds(self._any_secret, data):
            # Nothing told, though something fits: the set had not enough memory for this text.
            for index in self._which.Match(data) or range(len(self._shapes)):
                shape, pattern = self._shapes[index]
                data = pattern.sub(lambda found, shape=shape: _masked(found, shape.name, shape.sure), data)
        return data

    def _without_cut(self, data: bytes) -> bytes:
        """Without the beginning of a credential at the end, where a text was cut to the length of a record's texts."""
        if len(data) < _CUT:
            return data
        for form, tool in self._held.items():
            for length in range(min(len(form) - 1, len(data)), LEAST - 1, -1):
                if data.endswith(form[:length]):
                    return b"%b[redacted:credential:%b]" % (data[:-length], tool.encode())
        return data

    def _without_personal(self, data: bytes) -> bytes:
        for name, pattern in self._personal:
            data = pattern.sub(lambda found, name=name: _personal(found[0], name), data)
        return data

    def _compile(self) -> None:
        self._passed.clear()
        forms = sorted(self._held, key=len, reverse=True)
        literal = "|".join(re2.escape(form.decode("latin-1")) for form in forms)
        looks = ([literal] if forms else []) + self._looks
        starts = {re2.escape(form[:LEAST].decode("latin-1")) for form in forms}
        self._forms = _compiled(literal) if forms else None
        self._starts = _compiled("|".join(sorted(starts))) if starts else None
        self._any_secret = _compiled("|".join(looks)) if looks else None
        looks = looks + [f"(?:{kind.pattern})" for kind in KINDS if self._personal]
        self._anything = _compiled("|".join(looks), capture=False) if looks else None


_CUT = 2048
"""Characters that a text of a record is cut to."""


def _options() -> Any:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    options.max_mem = 64 << 20
    return options


def _compiled(pattern: str, *, capture: bool = True) -> Any:
    options = _options()
    options.never_capture = not capture
    return re2.compile(pattern.encode("latin-1"), options)


def _set_of(patterns: Sequence[str]) -> Any:
    found = re2.Set.SearchSet(_options())
    for pattern in patterns:
        found.Add(pattern.encode("latin-1"))
    found.Compile()
    return found


def _finds(pattern: Any, data: bytes) -> bool:
    return pattern is not None and pattern.search(data) is not None


def _decoded(data: bytes) -> list[bytes]:
    """The bytes percent-decoded, once and twice, as long as that changes anything."""
    found: list[bytes] = []
    while len(found) < _ROUNDS and _ESCAPE.search(data):
        data = unquote_to_bytes(data)
        found.append(data)
    return found


def _masked(found: Any, name: str, sure: bool) -> bytes:
    """What a pattern found, with its secret masked: the first group that fits, or all of it."""
    whole: bytes = found[0]
    secret = next((group for group in found.groups() if group), whole)
    if not sure and is_word(secret):
        return whole
    before, _, after = whole.rpartition(secret)
    return b"%b[redacted:%b]%b" % (before, name.encode(), after)


def _personal(found: bytes, name: str) -> bytes:
    text = found.decode("latin-1")
    mask = b"[redacted:%b]" % name.encode()
    if name == "iban":
        iban = iban_in(text)
        return mask + found[len(iban) :] if iban else found
    if name == "card" and not is_card(text):
        return found
    return mask


_OURS = frozenset(
    {
        *("ts", "call", "depth", "lineage", "decision", "reason", "status"),
        *("upstream_status", "fault", "is_error", "cost_usd", "bytes_in", "bytes_out", "timings", "policy_version"),
        *("size", "clock", "implied"),
    }
)
"""Keys whose values are the gateway's own words and numbers."""

_VARIABLES = {
    "args": "args",
    "query": "request.query",
    "headers": "request.headers",
    "path": "request.path",
    "host": "request.host",
    "operation": "tool.operation",
    "agent": "agent.id",
    "run": "run.id",
    "facts": "",
}
"""Names of variables, by keys of a record."""


class _Record:
    """Copies a record with masks, noting the variables whose values are not as they came."""

    def __init__(self, mask: Callable[[str], str], *, cards: bool) -> None:
        self._mask = mask
        self._cards = cards
        self._changed: list[str] = []

    def record(self, record: dict[str, Any]) -> dict[str, Any]:
        """The record itself where nothing was masked."""
        shown: dict[str, Any] = {}
        variables: list[str] = []
        touched = False
        for key, value in record.items():
            self._changed = []
            shown[key] = value if key in _OURS else self._parts(value) if key == "parts" else self._value(value, "")
            touched = touched or bool(self._changed)
            if key in _VARIABLES:
                variables += [f"{_VARIABLES[key]}.{at}".strip(".") for at in self._changed]
        if not touched:
            return record
        shown["masked"] = [*dict.fromkeys([*(shown.get("masked") or ()), *variables])]
        return shown

    def _parts(self, parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The calls of a batch: each names by itself what was masked."""
        shown = [_Record(self._mask, cards=self._cards).record(part) for part in parts]
        self._changed = [""] if any(new is not old for new, old in zip(shown, parts, strict=True)) else []
        return shown

    def _value(self, value: Any, at: str) -> Any:
        if isinstance(value, str):
            return self._noted(self._mask(value), value, at)
        if isinstance(value, dict):
            return {
                (name := self._noted(self._mask(key), key, at)): self._value(item, f"{at}.{name}" if at else name)
                for key, item in value.items()
            }
        if isinstance(value, list):
            return [self._value(item, f"{at}.{number}" if at else str(number)) for number, item in enumerate(value)]
        if self._cards and type(value) is int and is_card(str(value)):
            return self._noted("[redacted:card]", "", at)
        return value

    def _noted(self, masked: str, text: str, at: str) -> str:
        if masked != text:
            self._changed.append(at)
        return masked
