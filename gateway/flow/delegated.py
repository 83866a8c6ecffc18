"""Documents that the user named: the page of this URL, the file of this name, "the mail 'Minutes'".

"Her address is on her page, www.example.org" leaves it to the page what the address is. Whoever can write there then
says it: so rules take such a value only where the operator has decided so, and where the user has told something else
that directs the call.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from gateway.flow.forms import address
from gateway.flow.paths import scalars

MOST, LONGEST = 8, 256
"""Arguments, and characters of each, of a call whose answer may be such a document."""
_FILE = re.compile(r"[^\n/]+\.[A-Za-z]\w{0,7}")


def asked_for(args: Any) -> tuple[str, ...]:
    """The arguments with which an answer was asked for; none where they are many or long."""
    found = [str(each) for each in scalars(args, most=MOST + 1)]
    return tuple(found) if len(found) <= MOST and all(len(each) <= LONGEST for each in found) else ()


def delegates(asked: tuple[str, ...], told: Callable[[str], bool], quoted: Callable[[str], bool]) -> bool:
    """Whether the user told all that it was asked for with, and one of it names a document."""
    names = any(address(each) or _FILE.fullmatch(each) or quoted(each) for each in asked)
    return names and all(map(told, asked))
