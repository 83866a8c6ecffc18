"""What a write touches, what became of it, and what its answer tells of the state that it has made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from msgspec import Struct

from gateway.coherence import structure
from gateway.coherence.answers import MISSING, Hears, Said
from gateway.coherence.conditions import asked_for_match, conditions_of, guards_itself, has_own
from gateway.coherence.declared import DeclaredWrite
from gateway.coherence.evidence import field, nothing, versions_of
from gateway.coherence.selectors import About
from gateway.coherence.values import MOST_KEYS, kept, keys_of, text_of
from gateway.errors import Refused
from gateway.model import Answered, Call, Fields, Glance, How, Learnt, Reason, Touch

_UNCLEAR = frozenset({408, 499})
"""Of 4xx: the tool may have begun."""
_ELSEWHERE, _SEE_OTHER, _ACCEPTED, _MULTI = 300, 303, 202, 207
_PRECONDITION = 412


class Writing(Struct, frozen=True):
    """One call that writes."""

    memory: str
    declared: DeclaredWrite
    about: About

    @property
    def call(self) -> Call:
        """The call itself."""
        return self.about.call

    @property
    def deletes(self) -> bool:
        """Whether nothing stands there afterwards."""
        told = self.declared.deletes
        return self.call.request.method == "DELETE" if told is None else told

    @property
    def creates(self) -> bool:
        """Whether only its answer names its keys."""
        return self.declared.key.of_answer

    @property
    def reads_answer(self) -> bool:
        """Whether the body of its answer tells what became of it."""
        by_version = any(not isinstance(each, str) for each in self.declared.versions)
        return self.creates or by_version or self.call.tool.protocol == "mcp"

    def touches(self, max_age: float) -> tuple[Touch, ...]:
        """Its keys, as far as the call itself names them.

        Raises:
            Refused: it names none.
        """
        if self.creates:
            return ()
        keys = keys_of(self.declared.key.of(self.about))
        if not keys:
            raise Refused(
                Reason.BAD_REQUEST,
                400,
                f"which key of memory {self.memory} this call writes cannot be told: {self.declared.key.source} gives"
                f" no text or whole number, or more than {MOST_KEYS}",
                "name the key in the arguments, as the tool's description says",
                rule=f"memory/{self.memory}",
            )
        guarded = len(keys) == 1 and self._guarded()
        return tuple([Touch(self.memory, key, True, self.deletes, guarded, max_age) for key in keys])

    def _guarded(self) -> bool:
        if not self.declared.conditional:
            return False
        return guards_itself(self.call) if has_own(self.call) else not self.deletes

    def conditions(self) -> Fields:
        """What is added to the request."""
        glance = self._glance()
        if glance is None or not self.declared.conditional or has_own(self.call):
            return ()
        return conditions_of(glance)

    def _glance(self) -> Glance | None:
        """The one key that it writes."""
        written = [glance for glance in self.call.glances if glance.touch.writes]
        return written[0] if len(written) == 1 else None

    def became(self, answered: Answered | None, body: bytes | None, hears: Hears) -> How | None:
        """What became of it; None: nothing, for certain. FOUND: nothing, and what is known is not what stands."""
        if answered is None:
            return How.UNKNOWN
        status = answered.status
        if 400 <= status < 500 and status not in _UNCLEAR:
            return How.FOUND if status == _PRECONDITION and self._disproved() else None
        if status == _SEE_OTHER and self._to_itself(answered):
            return self._done
        if not 200 <= status < _ELSEWHERE or status in (_ACCEPTED, _MULTI):
            return How.UNKNOWN
        if self.call.tool.protocol != "mcp":
            return self._done
        said = None if body is None else hears(self.call, answered, body)
        if said is None:
            return How.UNKNOWN
        if said.failed:
            return None if self.declared.sure else How.UNKNOWN
        return self._done

    @property
    def _done(self) -> How:
        return How.DELETED if self.deletes else How.WRITTEN

    def _disproved(self) -> bool:
        """Whether the condition that has failed was about what is known to stand, not one that the agent made up."""
        glance = self._glance()
        if glance is None or not self.declared.conditional:
            return False
        if not has_own(self.call):
            return bool(conditions_of(glance))
        known = {} if glance.standing is None else glance.standing.newest.versions
        named = asked_for_match(self.call).get("strong")
        return named is not None and named == known.get("strong")

    def _to_itself(self, answered: Answered) -> bool:
        path = unquote(self.call.target.partition("?")[0]).rstrip("/")
        return unquote(field(answered, b"location").partition("?")[0]).rstrip("/").endswith(path) and path != ""

    def made(self, answered: Answered, body: bytes | None, hears: Hears) -> tuple[Learnt, ...]:
        """What the answer tells of the state that it has made."""
        said = None if not body or not self.reads_answer else hears(self.call, answered, body)
        about = About(self.call, self.about.path, answered, Said() if said is None else said)
        keys = keys_of(self.declared.key.of(about))
        if len(keys) != 1:
            return tuple([Learnt((self.memory, key)) for key in keys])
        versions = {} if self.deletes else versions_of(self.declared.versions, about, answered, nothing)
        return (Learnt((self.memory, keys[0]), versions, None if self.deletes else kept(self.ours())),)

    def ours(self) -> str | None:
        """What it would have stand there, as text."""
        return None if self.declared.value is None else text_of(self.declared.value.of(self.about))

    def rewritten(self, text: str) -> Mapping[str, Any] | None:
        """Its arguments with this text in the place of what it would write; None where that is no argument."""
        member = () if self.declared.value is None else self.declared.value.member
        if len(member) < 2 or member[0] != "args" or member[1] not in self.call.args or self.declared.value is None:
            return None
        found = self.declared.value.of(self.about)
        if found is MISSING:
            return None
        value = text if isinstance(found, str) else structure.read(text)
        return None if value is structure.MISSING else _put(self.call.args, member[1:], value)


def _put(values: Mapping[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    inner = value if len(path) == 1 else _put(values[path[0]], path[1:], value)
    return {**values, path[0]: inner}
