"""One form for what is written in many: texts, numbers, days, hours, addresses, codes, and what hides in encodings.

All that is found in texts, which strangers write, is found in time linear in their length: each expression here either
takes what it has looked at, or looks at a bounded piece.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
import unicodedata
from collections.abc import Iterator
from itertools import islice
from typing import Any
from urllib.parse import unquote

LONGEST_CODE = 64
MOST_FOUND = 20_000
"""Numbers, days or addresses of one text; more are as if they were not there."""
_TOKEN = re.compile(r"[^\W_]+|[^\w\s]|_")
_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\U000e0000-\U000e007f]+")
"""Characters that nobody sees: soft hyphens, joiners, marks of direction, tags."""
_UNSEEN_SIGNS = tuple(
    "\u00ad\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2061\u2062\u2063\u2064\ufeff"
)
"""Those of them that are no tags, which begin with the same two bytes in UTF-8."""
_SHORTEST_ENCODED = 16
_ENCODED = re.compile(r"(?:[0-9A-Za-z+/]{16,4096}|[0-9A-Za-z_-]{16,4096})={0,2}")
_ENCODED_WITHIN = re.compile(r"(?<![\w+/=-])[\w+/-]{16,4096}={0,2}(?![\w+/=-])", re.ASCII)


def normal(text: str) -> str:
    """Without differences of case, width and entities, and without what nobody sees."""
    return _plain(text).casefold()


def _plain(text: str) -> str:
    if "&" in text:
        text = html.unescape(text)
    if not text.isascii():
        text = unicodedata.normalize("NFKC", visible(text))
    return text


def visible(text: str) -> str:
    """Without the characters that nobody sees. Most texts have none, which is told faster sign by sign."""
    if text.isascii():
        return text
    if any(sign in text for sign in _UNSEEN_SIGNS) or b"\xf3\xa0" in text.encode("utf-8", "surrogatepass"):
        return _UNSEEN.sub("", text)
    return text


def lowered(text: str) -> str:
    """An address in normal form: two letters that only sound alike (ß and ss) name two hosts (RFC 5891, 5895)."""
    return _plain(text).lower()


def tokens(text: str) -> bytes:
    """The words and signs of a normal text, each between blanks: found in another, it stands there from the border of
    a word to the border of a word, whatever blanks there are."""
    found = " ".join(_TOKEN.findall(text))
    return f" {found} ".encode("utf-8", "surrogatepass") if found else b""


def words(text: str) -> list[str]:
    """The words of a normal text."""
    return [token for token in _TOKEN.findall(text) if token.isalnum()]


# Numbers

_AROUND_DIGITS, _AROUND_FIGURES = 24, 64
"""At least as many characters as one number, day, hour or telephone number has, or what must not stand beside it, on
either side of a digit; and as a day in figures is held to."""
_DIGITS = re.compile(r"\d+")
_FIGURE = re.compile(
    r"(?<![^\W_])(?<![^\W_][.,:/'-])(?:(?<!\w)[-−])?\d{1,40}(?:[.,']\d{1,40}){0,20}"
    r"(?![.,:/-]?\d)(?=[^a-z]|st\b|nd\b|rd\b|th\b|am\b|pm\b|eur|usd|gbp|chf|jpy|k\b|%|$)",
)
_PLAIN = re.compile(r"[-−+]?(?:0|[1-9]\d*)(?:\.\d+)?")
_THOUSANDS = re.compile(r"[-−+]?[1-9]\d{0,2}(?:([,' ])\d{3})(?:\1\d{3})*(?:\.\d+)?")
_CONTINENTAL = re.compile(r"[-−+]?(?:[1-9]\d{0,2}(?:\.\d{3})+(?:,\d+)?|(?:0|[1-9]\d*),\d{1,2})")


def near_digits(text: str, around: int = _AROUND_DIGITS) -> str:
    """The pieces of a text in which a number, or what is written with digits, may stand: of prose, few."""
    pieces, start, end = [], 0, -1
    for match in _DIGITS.finditer(text):
        at, behind = match.span()
        if at - around > end:
            if end >= 0:
                pieces.append(text[start:end])
            start = max(0, at - around)
        end = behind + around
    if end >= 0:
        pieces.append(text[start:end])
    return "\x1e".join(pieces)


def number(value: Any) -> str:
    """A number in one form; empty where it is none, as is what begins with 0 (a code)."""
    if isinstance(value, bool):
        return ""
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _figure(repr(value))
    text = str(value).strip().lstrip("$€£").strip() if len(str(value)) <= LONGEST_CODE else ""
    return next(iter(_readings(text)), "")


def numbers_in(text: str) -> Iterator[str]:
    """The numbers of a normal text, each in one form, or in both that it may be (1.000)."""
    for found in islice(_FIGURE.finditer(near_digits(text)), MOST_FOUND):
        yield from _readings(found[0])


def _readings(text: str) -> Iterator[str]:
    text = text.replace("−", "-")
    if _PLAIN.fullmatch(text):
        yield _figure(text)
    if _THOUSANDS.fullmatch(text):
        yield _figure(re.sub("[,' ]", "", text))
    elif _CONTINENTAL.fullmatch(text):
        yield _figure(text.replace(".", "").replace(",", "."))


def _figure(text: str) -> str:
    """Whole numbers as they are, however long; others as the nearest double is written."""
    text = text.lstrip("+")
    whole, _, rest = text.partition(".")
    if not rest.strip("0") and whole.lstrip("-").isdecimal():
        return "0" if whole == "-0" else whole
    found = float(text)
    if found != found or abs(found) == float("inf"):
        return ""
    return str(int(found)) if found == int(found) and abs(found) < 1e15 else repr(found)


# Days and hours

_NAMES = "janfebmaraprmayjunjulaugsepoctnovdec"
_MONTHS = {_NAMES[at : at + 3]: at // 3 + 1 for at in range(0, 36, 3)}
_MONTH = (
    r"(?P<n>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
_DATES = (
    re.compile(r"(?<!\d)(?P<y>\d{4})[-/.](?P<m>\d{1,2})[-/.](?P<d>\d{1,2})(?!\d)"),
    re.compile(r"(?<![\d.])(?P<d>\d{1,2})\.(?P<m>\d{1,2})\.(?P<y>\d{4})(?!\d)"),
    re.compile(r"(?<![\d/])(?P<d>\d{1,2})/(?P<m>\d{1,2})/(?P<y>\d{4})(?!\d)"),
    re.compile(r"(?<![\d/])(?P<m>\d{1,2})/(?P<d>\d{1,2})/(?P<y>\d{4})(?!\d)"),
    re.compile(rf"(?<!\d)(?P<d>\d{{1,2}})(?:st|nd|rd|th)?(?: of)?[ -]{_MONTH},?[ -](?P<y>\d{{4}})(?!\d)"),
    re.compile(rf"(?<![^\W_]){_MONTH} (?P<d>\d{{1,2}})(?:st|nd|rd|th)?,? (?P<y>\d{{4}})(?!\d)"),
)
_FIGURES = re.compile(r"(?<![\d./-])[\d./-]{8,64}(?![\d./-])")
_HOUR = re.compile(
    r"(?<![\d:.])(?P<h>\d{1,2})(?::(?P<min>\d{2})(?::\d{2})?)? ?(?P<half>[ap]\.?m\b)"
    r"|(?<![\d:.])(?P<hh>\d{1,2}):(?P<mm>\d{2})(?::\d{2})?(?![\d:])"
)


def days_in(text: str) -> Iterator[str]:
    """The days that a normal text names, as YYYY-MM-DD; both that 03/04/2026 may be."""
    figures = "\n".join(
        _FIGURES.findall(near_digits(text, _AROUND_FIGURES))
    )  # of a long text, little: most expressions need not read the rest
    text = near_digits(text)
    for pattern in _DATES:
        for match in islice(pattern.finditer(text if "n" in pattern.groupindex else figures), MOST_FOUND):
            groups = match.groupdict()
            month = int(groups["m"]) if groups.get("m") else _MONTHS[groups["n"][:3]]
            if 1 <= month <= 12 and 1 <= int(groups["d"]) <= 31:
                yield f"{groups['y']}-{month:02d}-{int(groups['d']):02d}"


_YEARLESS = (
    re.compile(rf"(?<![\d:.])(?P<d>\d{{1,2}})(?:st|nd|rd|th)?(?: of)?[ -]{_MONTH}(?![a-z]|,?[ -]\d{{4}})"),
    re.compile(rf"(?<![^\W_]){_MONTH} (?P<d>\d{{1,2}})(?:st|nd|rd|th)?(?!\w|[.:]\d|,? \d{{4}})"),
)


def yearless_in(text: str) -> Iterator[str]:
    """The days that a normal text names without a year, as --MM-DD (ISO 8601:2000, 5.2.1.3)."""
    near = near_digits(text)
    for pattern in _YEARLESS:
        for match in islice(pattern.finditer(near), MOST_FOUND):
            if 1 <= int(match["d"]) <= 31:
                yield f"--{_MONTHS[match['n'][:3]]:02d}-{int(match['d']):02d}"


def hours_in(text: str) -> Iterator[str]:
    """The times of day that a normal text names, as HH:MM."""
    for match in islice(_HOUR.finditer(near_digits(text)), MOST_FOUND):
        hour, minute = int(match["h"] or match["hh"]), int(match["min"] or match["mm"] or 0)
        if match["half"]:
            if not 1 <= hour <= 12:
                continue
            hour = hour % 12 + (12 if match["half"][0] == "p" else 0)
        if hour < 24 and minute < 60:
            yield f"{hour:02d}:{minute:02d}"


def without_moments(text: str) -> str:
    """The normal text without the days and hours that it names."""
    for pattern in (*_DATES, _HOUR):
        text = pattern.sub(" ", text)
    return text


# Addresses

_LOCAL = r"[\w.+-]{1,64}"
_HOST = r"(?:[^\W_](?:[\w-]{0,62})\.){1,10}[^\W\d_][\w-]{1,62}"
_MAIL = rf"(?<![\w.+-]){_LOCAL}@(?:[\w-]{{1,63}}\.){{1,10}}[\w-]{{1,63}}"
_URL = r"(?<![^\W_])(?:[a-z][a-z0-9+.-]{1,10}://|www\.)[^\s<>\"'`{}|\\^\[\]\x1e]+"
_PHONE = r"(?<![\w+])\+?\d(?:[\s().-]{0,2}\d){7,14}(?!\w)"
_IBAN = r"(?<![^\W_])[a-z]{2}\d{2}(?:[ ]?[a-z0-9]{4}){2,7}(?:[ ]?[a-z0-9]{1,3})?(?![^\W_])"
_COIN = r"(?<![^\W_])(?:0x[0-9a-f]{40}|bc1[0-9a-z]{25,60}|[13][1-9a-km-z]{25,34})(?![^\W_])"
_ADDRESS = re.compile(
    rf"(?P<url>{_URL})|(?P<mail>{_MAIL})|(?P<host>(?<![\w@.-]){_HOST}(?:/[^\s<>\"'`\x1e]*)?)", re.IGNORECASE
)
_MAY_LEAD = re.compile(r"[.@:\d]")
"""One of these is in all that leads elsewhere."""
_LEADS = re.compile(
    rf"(?P<url>{_URL})|(?P<mail>{_MAIL})|(?P<iban>{_IBAN})|(?P<coin>{_COIN})|(?P<phone>{_PHONE})"
    rf"|(?P<host>(?<![\w@./-]){_HOST}(?:/[^\s<>\"'`\x1e]*)?)",
    re.IGNORECASE,
)
_NUMBERED = re.compile(rf"{_IBAN}|{_COIN}|{_PHONE}", re.IGNORECASE)
"""Of what leads elsewhere, what may have blanks in it, or no sign."""
_SHORT = 40
"""Characters of a text that is looked at as a whole."""
_FILES = re.compile(
    r".*\.(?:txt|pdf|docx?|xlsx?|pptx?|od[ts]|[ct]sv|jsonl?|xml|ya?ml|toml|ini|html?|md|rst|png|jpe?g|gif|svg|bmp|mp[34]"
    r"|wav|tar|gz|log|jsx?|tsx|css|java|cpp|sql|exe)",
    re.IGNORECASE,
)
"""Endings of names of files, and of no hosts."""
_COMMON = frozenset(
    [
        "com",
        "net",
        "org",
        "io",
        "co",
        "dev",
        "app",
        "info",
        "biz",
        "xyz",
        "me",
        "ai",
        "sh",
        "ly",
        "to",
        "gl",
        "link",
        "click",
        "site",
        "online",
        "shop",
        "top",
    ]
)
"""Domains that are no usual names of functions."""
_ONE_MAIL = re.compile(rf"(?:mailto:)?({_LOCAL}@(?:[\w-]{{1,63}}\.){{1,10}}[\w-]{{1,63}})", re.IGNORECASE)
_NAMED_MAIL = re.compile(r"[^<>\n]{0,128}<([^<>\s]{3,128})>")
_ONE_PLACE = re.compile(rf"(?:{_URL}|{_HOST}(?:[:/?][^\s<>\"'`]*)?)", re.IGNORECASE)
_PHONES = re.compile(_PHONE)
_ONE_PHONE = re.compile(r"\+?\d(?:[\s().-]{0,2}\d){7,14}")
_QUOTES = "<>\"'`"
_JOINED = re.compile(r"[.@:](?<=[^\W_].)[^ ]")
"""What every address has, and few words of a text do."""
_JOINED_AT_ALL = re.compile(r"[.@:](?=[^ ])")
_TRAILS = ".,;:!?)*_"
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{1,10}://")


def address(text: str) -> str:
    """A mail address, URL or host name in one form: without case, scheme, ``www.``, percent-encoding and what trails.
    Empty where the text is no single one."""
    text = text.strip()
    if len(text) > 2048:
        return ""
    if mail := _ONE_MAIL.fullmatch(text):
        return lowered(mail[1])
    return place(text) if _ONE_PLACE.fullmatch(text) else ""


def mailbox(text: str) -> str:
    """The address in ``Bob Smith <bob@corp.com>`` (RFC 5322, 3.4); empty where the text is something else."""
    found = _NAMED_MAIL.fullmatch(text.strip()) if len(text) <= 256 and text.rstrip().endswith(">") else None
    return address(found[1]) if found else ""


def place(url: str) -> str:
    """A URL in one form, see ``address``."""
    if "%" in url:
        url = unquote(url)
    return _SCHEME.sub("", lowered(url.rstrip(_TRAILS)), count=1).removeprefix("www.").rstrip("/")


def host_of(url: str) -> str:
    """The host that a URL, in normal form, names, with its port."""
    return re.split(r"[/?#]", url, maxsplit=1)[0].rpartition("@")[2]


def addresses_in(text: str) -> Iterator[str]:
    """The mail addresses, URLs and host names in a text, as they stand there."""
    if "." not in text and "@" not in text and ":" not in text:
        return
    for match in islice(_ADDRESS.finditer(_joined(visible(text))), MOST_FOUND):
        yield match[0].rstrip(_TRAILS) if match.lastgroup != "mail" else match[0]


def _joined(text: str, by: re.Pattern[str] = _JOINED) -> str:
    """The pieces of a text in which an address may stand: few of a long one."""
    for sign in _QUOTES:
        text = text.replace(sign, " ")
    text = " ".join(text.split())
    pieces, end = [], -1
    for match in by.finditer(text):
        at = match.start()
        if at >= end:
            start, end = text.rfind(" ", 0, at) + 1, text.find(" ", at)
            if end < 0:
                end = len(text)
            pieces.append(text[start:end])
    return " ".join(pieces)


def phone(text: str) -> str:
    """The digits of what may be a telephone number; empty where it is none."""
    text = text.strip()
    return _digits(text) if len(text) <= LONGEST_CODE and _ONE_PHONE.fullmatch(text) else ""


def phones_in(text: str) -> Iterator[str]:
    """The digits of what may be telephone numbers in a text."""
    for match in islice(_PHONES.finditer(near_digits(text)), MOST_FOUND):
        yield _digits(match[0])


def _digits(text: str) -> str:
    return "".join([each for each in text if each.isdecimal()])


def may_lead(text: str) -> bool:
    """Whether something in a text may lead elsewhere: told at once of most texts that hold nothing of the kind."""
    return _MAY_LEAD.search(text) is not None


def leads_in(text: str) -> Iterator[tuple[str, str]]:
    """What in a free text leads elsewhere, with its kind: url, mail, iban, coin, phone or host."""
    text = visible(text)
    if len(text) > _SHORT and not _NUMBERED.search(text):
        text = _joined(text, _JOINED_AT_ALL)  # what is left of it has no blanks
    for match in islice(_LEADS.finditer(text), MOST_FOUND):
        kind, lead = str(match.lastgroup), match[0].rstrip(_TRAILS)
        if kind != "host" or not (_FILES.fullmatch(lead) or _is_called(match, lead)):
            yield kind, lead


def _is_called(match: re.Match[str], lead: str) -> bool:
    """Whether it is the name of a function that is called, as in ``self.lock.acquire()``, and no host."""
    called = match.string.startswith("(", match.end())
    return called and "/" not in lead and lead.rpartition(".")[2].lower() not in _COMMON


# Codes and encodings


def code(value: str) -> str:
    """A long code with digits (account, card) without what stands between its groups; empty where it is none."""
    if len(value) > LONGEST_CODE:
        return ""
    found = re.sub(r"[\s.\-–/]", "", normal(value))
    return found if len(found) >= 8 and found.isalnum() and 2 * sum(map(str.isdigit, found)) >= len(found) else ""


def groupings(found: str) -> tuple[str, ...]:
    """How a code may be written: in one, and in groups of four."""
    groups = [found[at : at + 4] for at in range(0, len(found), 4)]
    return found, " ".join(groups), "-".join(groups)


def decoded(value: str) -> str:
    """What percent-encoding, base64 or hex hides, where it is text; empty where nothing is hidden."""
    if "%" in value and (plain := unquote(value)) != value:
        return plain
    if not _ENCODED.fullmatch(value):
        return ""
    padded = value.rstrip("=").replace("-", "+").replace("_", "/")
    padded += "=" * (-len(padded) % 4)
    for decode, text in ((bytes.fromhex, value), (_base64, padded)):
        try:
            found = decode(text).decode("utf-8")
        except (ValueError, binascii.Error):
            continue
        if found.isprintable():
            return found
    return ""


def hidden_in(text: str) -> Iterator[str]:
    """What base64 or hex hides in a text."""
    text = " ".join([piece for piece in text.split() if len(piece) >= _SHORTEST_ENCODED])
    for match in islice(_ENCODED_WITHIN.finditer(text), MOST_FOUND // 10):
        if found := decoded(match[0]):
            yield found


def _base64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
