"""By what an answer tells one state of a key from another.

Versions of one kind only are compared. An ETag is kept without its mark of weakness, for comparing (RFC 9110, 8.8.3.2),
and once more as ``strong`` where it is strong, since only such a one may stand in If-Match (13.1.1).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from gateway.coherence.declared import VersionBy
from gateway.coherence.selectors import About, Selector
from gateway.coherence.values import LONGEST_VERSION, digest_of, version_of
from gateway.model import Answered

Digest = Callable[[], Mapping[str, str]]
_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')


def tag_versions(tag: str) -> dict[str, str]:
    """What one entity tag tells; nothing where it is none, or too long."""
    found = _TAG.fullmatch(tag.strip())
    if found is None or len(tag) > LONGEST_VERSION:
        return {}
    return {"etag": found[1]} if tag.strip().startswith("W/") else {"etag": found[1], "strong": found[1]}


def field(answered: Answered, name: bytes) -> str:
    """The value of a field that stands once; else empty."""
    values = [value for key, value in answered.fields if key.lower() == name]
    return values[0].decode("latin-1").strip() if len(values) == 1 else ""


def versions_of(by: Sequence[VersionBy] | None, about: About, answered: Answered, digest: Digest) -> dict[str, str]:
    """The versions in an answer, by what its memory says of them (None: ETag, where there is none the digest).
    ``digest`` gives that of what stands there, where it is known."""
    if by is None:
        return tag_versions(field(answered, b"etag")) or dict(digest())
    found: dict[str, str] = {}
    for each in by:
        found |= _version(each, about, answered, digest)
    if "digest" in by:  # the same ETag may be of another state: of the same size, written in the same second
        found.pop("etag", None)
    return found


def _version(by: VersionBy, about: About, answered: Answered, digest: Digest) -> Mapping[str, str]:
    if isinstance(by, Selector):
        version = version_of(by.of(about))
        return {} if version is None else {"version": version}
    if by == "etag":
        return tag_versions(field(answered, b"etag"))
    if by == "last-modified":  # it counts seconds, in which a key may change twice
        since = field(answered, b"last-modified")[:LONGEST_VERSION]
        return {"last-modified": since, **digest()} if since else digest()
    return digest()


def nothing() -> Mapping[str, str]:
    """The digest of what is not known."""
    return {}


def digest_by(label: str, text: str | None) -> dict[str, str]:
    """The digest of a text, by what it is one of."""
    return {} if text is None else {f"digest of {label}": digest_of(text)}
