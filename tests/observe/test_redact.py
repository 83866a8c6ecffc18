"""What must not be read is masked, whatever stands around it and however it is written."""

from __future__ import annotations

import base64
import html
import importlib
import json
import pkgutil
import re
from urllib.parse import quote, quote_plus

import detect_secrets.plugins
import orjson
import pytest
from detect_secrets.plugins.base import RegexBasedDetector
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from msgspec import structs

from gateway.detect.personal import iban_in, is_card, luhn
from gateway.model import NO_FACTS, Agent, Findings, Mode, Outcome, Permit, Run, Spoke, Verdict
from gateway.observe.credentials import LEAST, secrets_of
from gateway.observe.keeping import keeping
from gateway.observe.redact import Redactor, own_of
from gateway.observe.trace import LONGEST, line_of
from tests.builders import call

from .support import refusal, trace

TOKEN = "zq-7f3K+/=\"\\&<'x9Lw0TT"
"""A credential with all that encoders change."""
VISIBLE = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=LEAST, max_size=60)
SCHEMES = st.sampled_from(["", "Bearer ", "Token ", "ApiKey  "])
AROUND = st.text(max_size=40)
FEW = settings(max_examples=40, deadline=None)
"""Each builds its patterns anew."""


def holding(*values: str, **options: bool) -> Redactor:
    made = Redactor(**options)
    made.adopt([("bank", value) for value in values])
    return made


def encodings(secret: str) -> dict[str, str]:
    """How a secret may come back."""
    raw = secret.encode()
    whole = json.dumps({"k": secret})
    return {
        "as it is": secret,
        "in a URL": quote(secret, safe=""),
        "in a path": quote(secret),
        "in a form": quote_plus(secret),
        "in a URL, lower case": re.sub("%..", lambda found: found[0].lower(), quote(secret, safe="")),
        "in a URL, twice": quote(quote(secret, safe=""), safe=""),
        "every byte escaped": "".join(f"%{byte:02x}" for byte in raw),
        "base64": base64.b64encode(raw).decode(),
        "base64 for URLs": base64.urlsafe_b64encode(raw).decode(),
        "base64 after a byte": base64.b64encode(b"u" + raw).decode(),
        "base64 after two": base64.b64encode(b"u:" + raw + b"!").decode(),
        "hex": raw.hex(),
        "JSON": whole,
        "JSON in JSON": json.dumps(whole),
        "JSON of PHP": whole.replace("/", "\\/"),
        "JSON of Go": _escaped(whole, "&<>", "\\u{:04x}"),
        "JSON of Gson": _escaped(whole, "&<>='", "\\u{:04x}"),
        "JSON of .NET": _escaped(whole, "&<>+'`", "\\u{:04X}"),
        "HTML of Go": _escaped(html.escape(secret), "+", "&#{};"),
        "HTML of Handlebars": _escaped(html.escape(secret), "/=`", "&#x{:X};"),
        "HTML": html.escape(secret),
        "Python": repr(secret),
    }


def _escaped(text, signs, form):
    return "".join(form.format(ord(sign)) if sign in signs else sign for sign in text)


def leaks(shown: str, secret: str) -> list[str]:
    """In which ways the secret can still be read."""
    core = secret.encode()
    stable = base64.b64encode(core)[: len(core) * 8 // 6].decode()
    found = {"as it is": secret in shown, "base64": stable in shown, "hex": core.hex() in shown.lower()}
    found["JSON"] = json.dumps(secret)[1:-1] in shown
    found["percent"] = quote(secret, safe="") in shown
    return [way for way, there in found.items() if there]


# -- credentials that the gateway holds --------------------------------------------------------------------------


@pytest.mark.parametrize("way", encodings(TOKEN))
def test_a_held_credential_is_masked_in_every_form(way):
    shown = holding(f"Bearer {TOKEN}", secrets=False).text(f"before {encodings(TOKEN)[way]} after")
    assert "[redacted:credential:bank]" in shown
    assert not leaks(shown, TOKEN)
    assert shown.startswith("before ")
    assert shown.endswith(" after")


@FEW
@given(secret=VISIBLE, scheme=SCHEMES, before=AROUND, after=AROUND, way=st.sampled_from(sorted(encodings("x"))))
def test_whatever_the_credential_and_whatever_stands_around_it(secret, scheme, before, after, way):
    assume(secret not in "[redacted:credential:bank]")
    redactor = holding(scheme + secret, secrets=False)
    text = before + encodings(secret)[way] + after
    assert not leaks(redactor.text(text), secret)


@FEW
@given(secret=VISIBLE, before=AROUND, after=AROUND, way=st.sampled_from(sorted(encodings("x"))))
def test_a_line_of_a_record_is_masked_as_its_texts_are(secret, before, after, way):
    assume(secret not in "[redacted:credential:bank]")
    text = before + encodings(secret)[way] + after
    redactor = holding(secret)
    line = orjson.dumps({"call": "c", "error": text, "args": {"a": [text, {text: 1}]}, "masked": []})
    shown = orjson.loads(redactor.line(line))
    assert shown["error"] == redactor.text(text)
    assert not [leak for value in (shown["error"], shown["args"]["a"][0]) for leak in leaks(value, secret)]
    assert not [leak for name in shown["args"]["a"][1] for leak in leaks(name, secret)]


def test_what_basic_and_pairs_hold_is_secret_too():
    basic = base64.b64encode(b"user:hunter2222").decode()
    assert set(secrets_of(f"Basic {basic}")) == {f"Basic {basic}", basic, "user:hunter2222", "hunter2222"}
    assert "abcdef123" in secrets_of("session=abcdef123; theme=dark")
    shown = holding(f"Basic {basic}").text("login hunter2222 failed")
    assert shown == "login [redacted:credential:bank] failed"


def test_what_is_shorter_than_a_secret_is_not_looked_for():
    assert holding("Bearer abc", secrets=False).text("abc Bearer abc") == "abc [redacted:credential:bank]"
    assert secrets_of("short") == []


def test_a_credential_that_was_replaced_is_still_masked():
    redactor = holding("Bearer first-secret-1")
    redactor.adopt([("bank", "Bearer second-secret-2")])
    mask = "[redacted:credential:bank]"
    assert redactor.text("first-secret-1, second-secret-2") == f"{mask}, {mask}"


def test_credentials_without_end_do_not_fill_memory():
    redactor = holding("first-secret-000000")
    for start in range(0, 1200, 100):
        redactor.adopt([("bank", f"secret-number-{number:06}") for number in range(start, start + 100)])
    assert redactor.text("secret-number-001199") == "[redacted:credential:bank]"
    assert len(redactor._held) < 5000


def test_the_beginning_of_a_credential_that_a_cut_left_is_masked():
    text = ("x" * (LONGEST - 10)) + TOKEN
    line = orjson.dumps({"error": text[:LONGEST], "masked": []})
    shown = orjson.loads(holding(TOKEN).line(line))["error"]
    assert TOKEN[:6] not in shown
    assert shown.endswith("x[redacted:credential:bank]")


def test_pages_and_answers_lose_credentials_and_stay_what_they_are():
    redactor = holding("Bearer abc-secret-123")
    page = b'{"runs": [{"run": "abc-secret-123", "token": "AKIAABCDEFGHIJKLMNOP"}]}'
    assert json.loads(redactor.page(page))["runs"][0] == {
        "run": "[redacted:credential:bank]",
        "token": "[redacted:aws]",
    }
    assert b"AKIAABCDEFGHIJKLMNOP" in redactor.held(page), "an agent may read what it sent itself"
    assert b"abc-secret" not in redactor.held(page)
    clean = b"nothing here"
    assert redactor.page(clean) is clean
    assert redactor.held(clean) is clean


# -- what looks like a credential --------------------------------------------------------------------------------

EXAMPLES = {
    "aws": "AKIA" + "Q3ZDLEXAMPLE4567",
    "github": "ghp_" + "a1B2" * 9,
    "gitlab": "glpat-" + "a1B2c3D4e5F6g7H8i9J0",
    "slack": "xoxb-" + "123456789012-abcdefABCDEF",
    "stripe": "sk_live_" + "a1B2c3D4e5F6g7H8i9J0k1L2",
    "openai": "sk-proj-" + "a1B2c3D4e5F6g7H8i9J0_k1L2",
    "anthropic": "sk-ant-api03-" + "a1B2c3D4e5F6g7H8i9J0",
    "google": "AIza" + "SyA1B2C3D4E5F6G7H8I9J0K1L2M3N4O5P6Q",
    "huggingface": "hf_" + "aBcDeFgHiJkLmNoPqRsTuVwXyZaBcDeFgH",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    "private-key": "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nabc+/=\n-----END RSA PRIVATE KEY-----",
    "slack webhook": "/services/T0123ABCD/B0123ABCD/" + "a1B2c3D4e5F6g7H8i9J0k1L2",
    "key": "sk-" + "a1B2c3D4" * 4,
}


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("around", [("", ""), ("token ", "."), ("\n", "\n"), ('"', '"'), ("/x/", "/y"), ("\x1b", "\t")])
def test_a_secret_is_known_by_its_shape_and_named(name, around):
    text = EXAMPLES[name].join(around)
    redactor = Redactor()
    assert f"[redacted:{name.split()[0]}]" in redactor.text(text)
    line = orjson.dumps({"detail": text, "masked": []})
    assert orjson.loads(redactor.line(line))["detail"] == redactor.text(text), "an escape in JSON hides nothing"
    assert EXAMPLES[name][12:] not in redactor.text(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgres://app:hunter2@db/x", "postgres://app:[redacted:password]@db/x"),
        ("Authorization: Bearer a1b2c3d4e5f6g7", "Authorization: Bearer [redacted:bearer]"),
        ('{"api_key": "a1b2c3d4e5"}', '{"api_key": "[redacted:secret]"}'),
        ("curl -d password=correct-horse", "curl -d password=[redacted:secret]"),
    ],
)
def test_only_the_secret_of_what_surrounds_it_is_masked(text, shown):
    assert Redactor().text(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "task-0123456789abcdef0123456789abcdef",
        "run 6b05aff17546e780-00001a of 2026-01-01T00:00:00.000Z",
        "4bf92f3577b34da6a3ce929d0e0e4736",
        "bearer authentication is required",
        "password: required",
        "GET /repos/acme/widgets/issues/17",
        "http://127.0.0.1:8080/x?y=z@w",
        "2023-06-01 and 550e8400-e29b-41d4-a716-446655440000",
    ],
)
def test_ids_and_words_are_not_taken_for_secrets(text):
    assert Redactor().text(text) == text


NOT_LOOKED_FOR = {
    "ip_public": "an address is no credential",
    "cloudant": "by the name of a variable before it",
    "ibm_cloud_iam": "by the name of a variable before it",
    "ibm_cos_hmac": "by the name of a variable before it",
    "softlayer": "by the name of a variable before it",
    "artifactory": "eleven letters that begin with AP or AKC are mostly something else",
}
LONG_ENOUGH = {
    "basic_auth": lambda text: re.fullmatch(r"://[\w.~%!$*+=-]+:[\w.~%!$&()*+,;=-]+@", text, re.ASCII),
    "jwt": lambda text: re.match(r"[^.]{11,}\.[\w=-]{8,}", text),
    "npm": lambda text: len(text) > 30 and text.isascii() and "npm_" not in text,
    "private_key": bool,
    "slack": lambda text: len(text) > 30,
}
"""Real ones are."""
WIDER = {
    "aws.": "by the name of a variable before it",
    "AC[": "an account's SID is a name that stands in every path of Twilio's API",
    "https://hooks": "known by its path, the ids as long as they are; below",
}
"""Patterns that begin so are not held to."""


def others() -> list[tuple[str, re.Pattern[str]]]:
    """The patterns of detect-secrets, by its modules."""
    found = []
    for module in pkgutil.iter_modules(detect_secrets.plugins.__path__):
        loaded = importlib.import_module(f"detect_secrets.plugins.{module.name}")
        for kind in vars(loaded).values():
            if (
                isinstance(kind, type)
                and issubclass(kind, RegexBasedDetector)
                and kind.__module__ == loaded.__name__ != RegexBasedDetector.__module__
            ):
                found += [(module.name, pattern) for pattern in kind().denylist]
    wider = tuple(WIDER)
    return [
        (name, one) for name, one in found if name not in NOT_LOOKED_FOR and not one.pattern.strip().startswith(wider)
    ]


@pytest.mark.parametrize(("name", "pattern"), others())
def test_what_a_well_kept_detector_finds_is_found(name, pattern):
    redactor = Redactor()

    @settings(max_examples=8, derandomize=True, suppress_health_check=list(HealthCheck), deadline=None)
    @given(st.from_regex(re.compile(pattern.pattern, pattern.flags & ~re.UNICODE | re.ASCII), fullmatch=True))
    def found(text: str) -> None:
        if name == "private_key":
            text = f"-----{text}-----" if text.startswith("BEGIN") else f"{text}: ssh"
        assume(LONG_ENOUGH.get(name, bool)(text))
        assert redactor.text(text) != text

    found()


@given(st.text(max_size=60) | st.sampled_from(sorted(EXAMPLES.values())))
def test_a_mask_is_not_masked_again(text):
    redactor = holding("Bearer abc-secret-123", personal=True)
    once = redactor.text(text)
    assert redactor.text(once) == once


def test_detection_can_be_turned_off_but_for_held_credentials():
    assert holding("Bearer abc-secret-123", secrets=False).text(f"{EXAMPLES['aws']} abc-secret-123") == (
        f"{EXAMPLES['aws']} [redacted:credential:bank]"
    )


# -- personal data -----------------------------------------------------------------------------------------------


def test_personal_data_is_masked_where_that_is_asked_for():
    text = "Ann <ann.b@example.co.uk> paid 4111 1111 1111 1111 from DE89 3704 0044 0532 0130 00 today"
    assert Redactor().text(text) == text
    assert Redactor(personal=True).text(text) == (
        "Ann <[redacted:email]> paid [redacted:card] from [redacted:iban] today"
    )


@pytest.mark.parametrize(
    "iban", ["DE89370400440532013000", "GB29NWBK60161331926819", "NO9386011117947", "FR1420041010050500013M02606"]
)
def test_an_iban_is_one_by_its_length_and_check_digits(iban):
    assert iban_in(iban + " AND MORE") == iban
    wrong = iban[:-1] + ("1" if iban[-1] != "1" else "2")
    assert iban_in(wrong) == ""
    assert Redactor(personal=True).text(f"to {iban}.") == "to [redacted:iban]."


@pytest.mark.parametrize(
    "card", ["4111111111111111", "5555-5555-5555-4444", "378282246310005", "6011 1111 1111 1117", "2221000000000009"]
)
def test_a_card_is_one_by_its_issuer_length_and_check_digit(card):
    assert is_card(card)
    assert not is_card(card[:-1] + str((int(card[-1]) + 1) % 10))
    assert not is_card("1" + card[1:])


@given(st.lists(st.integers(0, 9), min_size=2, max_size=19), st.data())
def test_one_wrong_digit_is_found_by_luhn(digits, data):
    check = next(last for last in range(10) if luhn([*digits, last]))
    whole = [*digits, check]
    at = data.draw(st.integers(0, len(whole) - 1))
    wrong = data.draw(st.integers(0, 9).filter(lambda digit: digit != whole[at]))
    assert not luhn([*whole[:at], wrong, *whole[at + 1 :]])


def test_a_card_number_that_is_a_number_is_masked_too():
    line = b'{"args":{"card":4111111111111111,"n":41},"masked":[]}'
    assert orjson.loads(Redactor(personal=True).line(line)) == {
        "args": {"card": "[redacted:card]", "n": 41},
        "masked": ["args.card"],
    }


# -- records -----------------------------------------------------------------------------------------------------


def test_a_line_without_secrets_is_passed_on_as_it_is():
    line = line_of(trace(refusal()))
    assert holding("Bearer abc-secret-123").line(line) is line


@pytest.mark.parametrize("text", ["%" + "25" * 5000, "%25" * 5000, "%" * 9000, EXAMPLES["aws"] * 700, "a@b.co " * 2000])
def test_what_agents_send_to_make_it_hard_is_looked_through_all_the_same(text):
    line = orjson.dumps({"args": {"a": text, "b": [EXAMPLES["github"]]}, "masked": []})
    shown = orjson.loads(holding(TOKEN, personal=True).line(line))
    assert shown["args"]["b"] == ["[redacted:github]"]
    assert EXAMPLES["aws"] not in shown["args"]["a"]
    assert "a@b.co" not in shown["args"]["a"]


def test_what_was_masked_is_named_so_that_a_replay_does_not_take_the_mask_for_the_value():
    token = EXAMPLES["aws"]
    line = orjson.dumps(
        {
            "call": "c", "agent": token, "run": token, "operation": f"GET /{token}", "path": f"/{token}",
            "query": f"q={token}", "headers": {"x-note": token, "x-b": None}, "facts": {"mcp.name": token},
            "args": {"a": {"b": [1, token]}, "fine": 1}, "masked": ["args.password"],
            "parts": [{"operation": "x", "args": {"k": token}, "masked": []}, {"operation": "y", "masked": []}],
        }
    )  # fmt: skip
    shown = orjson.loads(Redactor().line(line))
    assert set(shown["masked"]) == {
        *("args.password", "agent.id", "run.id", "tool.operation", "request.path", "request.query"),
        *("request.headers.x-note", "mcp.name", "args.a.b.1"),
    }
    assert [part["masked"] for part in shown["parts"]] == [["args.k"], []]
    assert token.encode() not in orjson.dumps(shown)


def test_an_agents_own_credentials_are_masked_in_its_record():
    made = trace(Permit(call(), "payers"), target="/bank/x/s3cret-of-mine")
    own = structs.replace(made.request, lookup={b"authorization": b"Bearer s3cret-of-mine"})
    made = structs.replace(made, request=own)
    shown = orjson.loads(Redactor().line(line_of(made), own_of(made)))
    assert shown["path"] == "/bank/x/[redacted:key]"
    keyed = structs.replace(made, request=structs.replace(own, lookup={b"x-key": b"another-secret"}))
    assert own_of(keyed) == ()
    assert own_of(structs.replace(keyed, agent=Agent("a", credential=b"x-key"))) == [b"another-secret"]


@FEW
@given(secret=VISIBLE, before=AROUND, after=AROUND)
def test_no_text_of_a_trace_brings_a_held_credential_into_its_record(secret, before, after):
    """A credential in each place that an agent, a tool or a rule has a say in."""
    secret = f"zq-{secret}"  # else it may be a number that the record has anyway
    text = f"{before}{secret}{after}".encode("utf-8", "replace").decode()
    path = f"/bank/{quote(text)}"
    spoke = Spoke("p", "r", Verdict.WARN, Mode.WARN, text, error=text)
    asked = structs.replace(call(), args={"a": text, text: [text]}, operation=text, host=text, query=quote(text))
    facts = {"mcp.name": text, "why.reason": text, "why.goal": text}
    made = structs.replace(
        trace(Permit(asked, "payers", (), (spoke,)), target=path),
        agent=Agent(text, (text,)),
        run=Run(text, text, root=(text, text), led=(text, text), span=text),
        operation=text,
        facts=facts,
        amendments=(text,),
        outcome=Outcome(502, fault="tool", error=text, found=Findings(notes=(text,), complaint=text)),
    )
    for one in (made, structs.replace(made, decision=refusal(), facts=NO_FACTS)):
        shown = holding(secret).line(line_of(one, keeping(True, [], ["host"], 4096))).decode()
        assert not leaks(shown, secret)
