"""What one run was told so far, and where a value in it comes from. Implements ``ports.Flow``.

What counts is who told a value first: a tool that only repeats what the agent wrote into a call, at once or read again
later, tells nothing; nor does a user's message in which the agent passes a tool's result on to a model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import structs

from gateway.flow.asked import ASKERS, beginnings
from gateway.flow.bodies import BETWEEN
from gateway.flow.copies import copied
from gateway.flow.delegated import asked_for, delegates
from gateway.flow.forms import addresses_in, days_in, leads_in, may_lead, normal, number, words
from gateway.flow.heard import Heard
from gateway.flow.kept import Kept
from gateway.flow.links import names_of
from gateway.flow.looks import Look, look_for
from gateway.flow.origins import NOWHERE, PERSON, SELF_EVIDENT, Origin, both
from gateway.flow.own import path_of
from gateway.flow.paths import directed, scalars
from gateway.flow.pieces import pieces_of
from gateway.flow.pointed import points
from gateway.flow.vouched import Vouched
from gateway.model import Call, FlowLabels

MOST_BYTES = 512 * 1024
"""Of what tools told, as it came; the oldest is forgotten first."""
MOST_WORDS = 256 * 1024
"""Bytes of what people said, which tools cannot push out; here too the oldest goes first."""
MOST_OWN = 128 * 1024
"""Bytes of what the agent itself wrote into calls."""
LONGEST_OWN = 256
"""Characters of a text that the agent wrote and that is remembered whole; of longer ones, the addresses."""
MOST_VALUES = 128
"""Values in one argument that are looked at; where there are more, nobody told them."""
MOST_TEXTS, MOST_LEADS = 10_000, 500
"""Values of a call, and addresses in them, that are looked at."""
TOO_MANY = "more than can be looked at"
MOST_KNOWN, MOST_KNOWN_SIZE = 512, 256 * 1024
"""Values whose origins are remembered until something else is told, and characters of all of them."""
FEW_WORDS, LONGEST_WORD = 32, 15
"""Words that are looked at one by one, and letters of a word in which nothing is hidden."""
SHORTEST_WORD = 4
"""Letters of a word by which a text is told to be a stranger's."""
PEOPLE = frozenset({"user", "system"})
TRUSTED, UNTRUSTED = "trusted", "untrusted"


class RunFlow:
    """The flow of one run. ``trusts`` says of a tool's results whether they count as trusted; ``vouched`` is what the
    operator vouches for now; ``endorsed`` of a value whether a person has vouched for it in this run; ``marked`` is
    told its labels when they change."""

    def __init__(
        self,
        labels: Callable[[Call], FlowLabels],
        trusts: Callable[[str], bool],
        vouched: Callable[[], Vouched],
        endorsed: Callable[[Any], bool],
        marked: Callable[[tuple[str, ...]], object] = lambda _: None,
    ) -> None:
        self._labels, self._trusts, self._vouched, self._endorsed = labels, trusts, vouched, endorsed
        self._marked = marked
        self.labels: tuple[str, ...] = ()
        """Of all that its tools answered so far, also what has been forgotten."""
        self._words = Kept(MOST_WORDS)
        self._results = Kept(MOST_BYTES)
        self._own = Kept(MOST_OWN)
        self._at = 0
        self._known: dict[tuple[type, Any], Origin] = {}
        self._known_size = 0
        self._by = vouched()

    @property
    def size(self) -> int:
        """Bytes that are remembered."""
        return self._words.size + self._results.size + self._own.size + self._known_size

    def hear(self, source: str, labels: Sequence[str], data: bytes, content_type: str, args: Any = None) -> None:
        """A whole result, asked for with these arguments, or what somebody said."""
        if source in PEOPLE:
            self._keep(self._words, Heard(source, (), data, content_type, 0, trusted=True), data)
            return
        trusted = UNTRUSTED not in labels and (TRUSTED in labels or self._trusts(source))
        asked = asked_for(args)
        heard = Heard(source, tuple(labels), data[:MOST_BYTES], content_type, 0, trusted=trusted, asked=asked)
        self._keep(self._results, heard, data[:MOST_BYTES])

    def relayed(self, source: str, text: str) -> None:
        """What somebody said, as the agent passes it on to a model."""
        data = text.encode("utf-8", "surrogatepass")
        self._keep(self._words, Heard(source, (), data, "text/plain", 0, trusted=True, relayed=True), data)

    def say(self, args: Any) -> None:
        """What the agent wrote into a call that is being answered."""
        texts: list[str] = []
        for one in scalars(args, most=10_000):
            text = str(one)
            texts += [text] if len(text) <= LONGEST_OWN else addresses_in(text)
        if texts:
            data = BETWEEN.join(texts).encode("utf-8", "surrogatepass")[:MOST_OWN]
            self._keep(self._own, Heard("agent", (), data, "text/plain", 0, trusted=False), data)

    def _keep(self, kept: Kept, heard: Heard, data: bytes) -> None:
        self._at += 1
        if kept.keep(heard, data, self._at):
            self._forget_origins()

    def mark(self, labels: Sequence[str]) -> None:
        """A tool is answering what has these labels."""
        if not set(labels) <= set(self.labels):
            self.labels = tuple(sorted({*self.labels, *labels}))
            self._marked(self.labels)

    def origin(self, value: Any) -> Mapping[str, Any]:
        """See ports.Flow; ``why`` is a piece of what told it."""
        return self._origin(value, self._in_full).shown()

    def unproven(self, call: Call) -> Sequence[str]:
        """The call's directing arguments that are there and that nothing trusted told, as they are spelt in it."""
        found = directed(call, self._labels(call).directs)
        return [path for path, values in found.items() if not self._proven(values)]

    def _proven(self, values: Sequence[Any]) -> bool:
        return len(values) <= MOST_VALUES and all(self._origin(value, self._of).linked for value in values)

    def delegated(self, call: Call) -> Sequence[str]:
        """See ports.Flow."""
        found = directed(call, self._labels(call).directs)
        unproven = [path for path, values in found.items() if not self._proven(values)]
        if len(unproven) == len(found):
            return ()
        return [path for path in unproven if self._all(self._is_delegated, found[path])]

    def _all(self, holds: Callable[[Any], bool], values: Any) -> bool:
        """Whether it holds of each value in these; of too many nobody knows."""
        each = list(scalars(values, most=MOST_VALUES + 1))
        return len(each) <= MOST_VALUES and all(map(holds, each))

    def _is_delegated(self, value: Any) -> bool:
        origin = self._of(value)
        return origin.linked or origin.delegated

    def foreign(self, call: Call) -> Sequence[str]:
        """See ports.Flow. A whole field of a record is no text of a stranger; words are looked at where the model
        may have put a text together."""
        labels = self._labels(call)
        found = directed(call, (*labels.directs, *labels.about))
        return [path for path, values in found.items() if not self._all(self._is_native, values)]

    def _is_native(self, value: Any) -> bool:
        return not self._is_foreign(value)

    def _is_foreign(self, value: Any) -> bool:
        origin = self._of(value)
        if origin.sources or not isinstance(value, str):
            return bool(origin.sources) and not origin.linked and not self._listed(value)
        found = [word for word in dict.fromkeys(words(normal(value))) if len(word) >= SHORTEST_WORD]
        if len(found) > FEW_WORDS:  # of a long text most words were told by nobody: one look at all is enough
            said = {word for one in self._results.values() for word in one.index.words.split()}
            found = [word for word in found if not word.isalpha() or len(word) > LONGEST_WORD or word.encode() in said]
        if len(found) > MOST_VALUES:
            return True
        return any(one.sources and not one.linked for one in map(self._of, found))

    def _listed(self, value: Any) -> bool:
        """Whether it is a whole field of a record."""
        fields = _fields_of(value)
        return any(one.index.fielded(field) for one in self._results.values() for field in fields)

    def asked(self, call: Call) -> bool:
        """See ports.Flow."""
        stems = self._labels(call).asked
        return not stems or any(one.source in ASKERS for look in beginnings(stems) for one in self._people(look))

    def planted(self, call: Call) -> Sequence[str]:
        """What in the call's arguments leads elsewhere (URLs, addresses, accounts), also inside free text, and nobody
        trusted told. Rows of digits and words with points are telephone numbers and hosts only where some tool told
        them. Where there is more than can be looked at, that is one of them."""
        found: dict[str, str] = {}
        texts = list(scalars([call.args, call.params, path_of(call)], most=MOST_TEXTS + 1))
        for text in texts:
            if isinstance(text, str) and may_lead(text) and len(found) <= MOST_LEADS:
                found.update({lead: kind for kind, lead in leads_in(text)})
        planted = [lead for lead, kind in list(found.items())[:MOST_LEADS] if self._is_planted(lead, kind)]
        many = len(texts) > MOST_TEXTS or len(found) > MOST_LEADS
        return [*planted, *[TOO_MANY] * many]

    def _is_planted(self, lead: str, kind: str) -> bool:
        if kind == "phone" and any(days_in(lead)):
            return False
        origin = self._of(lead)
        return not origin.linked and (kind not in ("phone", "host") or bool(origin.sources))

    def _origin(self, value: Any, of: Callable[[Any], Origin]) -> Origin:
        if self._endorsed(value):
            return PERSON
        found: list[Origin] = []
        for one in scalars(value, most=MOST_VALUES + 1):
            if len(found) == MOST_VALUES:
                return NOWHERE
            found.append(PERSON if self._endorsed(one) else of(one))
        return both(found)

    def _of(self, value: Any) -> Origin:
        if isinstance(value, bool):
            return SELF_EVIDENT
        vouched = self._vouched()
        if vouched is not self._by:  # another version of the configuration
            self._by = vouched
            self._forget_origins()
        key = (type(value), value)
        known = self._known.get(key)
        if known is None:
            known = self._find(value)
            self._remember(key, known)
        return known

    def _remember(self, key: tuple[type, Any], origin: Origin) -> None:
        size = len(key[1]) if isinstance(key[1], str) else 0
        if len(self._known) >= MOST_KNOWN or self._known_size + size > MOST_KNOWN_SIZE:
            self._forget_origins()
        self._known_size += size
        self._known[key] = origin

    def _forget_origins(self) -> None:
        self._known.clear()
        self._known_size = 0

    def _in_full(self, value: Any) -> Origin:
        """Also whether it was told exactly so, and what stands around it: only people and some rules ask."""
        origin = self._of(value)
        if origin.why or not origin.sources:
            return origin
        look = look_for(value)
        told = self._tellers(look)
        full = structs.replace(
            origin,
            verbatim=any(one.index.verbatim(look.value, whole=look.leads) for one in told),
            why=told[0].index.around(look) if told else look.value[:60],
        )
        self._known[(type(value), value)] = full
        return full

    def _find(self, value: Any) -> Origin:
        look = look_for(value)
        told = self._tellers(look)
        vouched = self._vouched().tells(look)
        if not told and not vouched:
            return pieces_of(look, self.proves, self._vouched().owns) if isinstance(value, str) else NOWHERE
        trusted = vouched or any(one.vouches(look) for one in told)
        linked = trusted or any(names_of(one, _fields_of(value), self._named) for one in told)
        return Origin(
            ("operator",) * vouched + tuple(dict.fromkeys([one.source for one in told])),
            tuple(sorted({label for one in told for label in one.labels})),
            trusted,
            linked,
            delegated=not linked and any(delegates(one.asked, self._spoken, self._quoted) for one in told),
            pointed=not linked and any(points(one, look, self._mentioned) for one in told),
        )

    def proves(self, look: Look) -> str:
        """The trusted source that tells it; empty for none."""
        if self._vouched().tells(look):
            return "operator"
        return next((one.source for one in self._tellers(look) if one.vouches(look)), "")

    def _tellers(self, look: Look) -> list[Heard]:
        """Who told it before the agent itself did."""
        results = self._results.telling(look)
        if results and self._own:
            first = min([one.at for one in self._own.telling(look)], default=self._at + 1)
            results = [one for one in results if one.at < first]
        return self._people(look) + results

    def _people(self, look: Look) -> list[Heard]:
        """The people who told it, and in whose words it is no copy."""
        people = self._words.telling(look)
        if any(one.relayed for one in people):
            strange = [one for one in self._results.telling(look) if not one.trusted]
            people = [one for one in people if not (one.relayed and copied(one, look, strange))]
        return people

    def _spoken(self, text: str) -> bool:
        """Whether the user has said it."""
        look = look_for(text)
        return any(one.source == "user" for one in self._people(look))

    def _quoted(self, text: str) -> bool:
        return any(one.quotes(normal(text).strip()) for one in self._words.values() if one.source == "user")

    def _mentioned(self, field: str) -> bool:
        """Whether the user has named something by this field, or spoken of it, and the agent has looked for it."""
        if self._named(field):
            return True
        look = look_for(field)
        return bool(self._own.telling(look)) and any(one.source == "user" for one in self._words.telling(look))

    def _named(self, field: str) -> bool:
        """Whether the user has named something by this field."""
        look = look_for(field)
        who = [one for one in self._people(look) if one.source == "user"]
        return any(not field.isalpha() or one.quotes(field) for one in who)


def _fields_of(value: Any) -> tuple[str, ...]:
    """How a whole field of a record would hold the value."""
    forms = (normal(value).strip(), value.strip()) if isinstance(value, str) else ()
    return tuple(dict.fromkeys([form for form in (*forms, number(value)) if form]))
