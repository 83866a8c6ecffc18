"""The added functions through both engines: what they give, what is an error, what the loader finds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.policy.engine import CelError, EngineError, EvaluationError
from gateway.policy.engines import load_engine
from gateway.policy.functions import FUNCTIONS, Function, FunctionError, functions_for, guarded
from gateway.policy.variables import TYPES
from tests.policy.support import book_of, call_to, policy

ENGINES = [load_engine("cel-expr-python", sql=True), load_engine("cel-python", sql=True)]
BOTH = pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
NAMES = [function.name for function in functions_for(sql=True) if not function.takes_any]


def evaluate(engine: Any, source: str, **args: Any) -> Any:
    return engine.compile(source, TYPES).evaluate(engine.activation({"args": args}))


@BOTH
@pytest.mark.parametrize(
    ("source", "value"),
    [
        ('json(args.text).items[0].id == 7 && json("[1, 2.5, null]")[1] == 2.5', True),
        ('json(args.text).items.exists(i, i.id == 7) && json("null") == null', True),
        ('cidr("10.1.2.3", "10.0.0.0/8") && !cidr("11.1.2.3", "10.0.0.0/8")', True),
        ('glob(domain("https://API.example.com:8443/x"), "*.example.com")', True),
        ('domain("https://" + "a.com")', "a.com"),
        ('host_class("https://127.0.0.1/")', "private"),
        ('shell("cd src && ls -l | wc").map(c, c[0])', ["cd", "ls", "wc"]),
        ('shell(args.command).all(c, c[0] in ["ls", "wc"])', True),
        ('sql("SELECT a FROM Users; DELETE FROM t").map(s, s.kind)', ["select", "delete"]),
        ('sql(args.query, "postgres").all(s, s.kind == "select" && s.tables.all(t, t in ["users"]))', True),
        ('sql("select 1").all(s, s.tables == [])', True),
        ("texts(args.deep)", ["12", "3", "a", "b", "x", "y"]),
        ('texts(["b", 2.0, 2.5, null, true])', ["2", "b"]),
        ('texts(5) + texts("s") + texts(null) + texts(false) + texts(7.0)', ["5", "s", "7"]),
        ("text_of(args.deep)", "12\n3\na\nb\nx\ny"),
        ('text_of([]) + text_of("s") + text_of(7)', "s7"),
        ("texts(args).exists(t, t.matches('^SELECT'))", True),
    ],
)
def test_a_function_gives_the_same_in_both_engines(engine: Any, source: str, value: Any) -> None:
    given_ = {"text": '{"items": [{"id": 7}]}', "command": "ls -l | wc", "query": "SELECT 'x' FROM users"}
    given_ |= {"deep": {"b": [{"a": ["y", "x", "x"]}, 12], "x": {"3": None}}}
    assert evaluate(engine, source, **given_) == value


@BOTH
@pytest.mark.parametrize("name", NAMES)
def test_a_function_fails_of_what_is_no_text(engine: Any, name: str) -> None:
    second = {"cidr": ', "10.0.0.0/8"', "glob": ', "*"'}.get(name, "")
    for bad in (5, None, ["ls"], {"a": 1}, True):
        with pytest.raises(EvaluationError):
            evaluate(engine, f"{name}(args.x{second})", x=bad)
    with pytest.raises(EvaluationError):
        evaluate(engine, f"{name}(args.missing{second})")


@BOTH
def test_an_error_of_a_function_is_an_error_of_cel(engine: Any) -> None:
    assert evaluate(engine, 'shell("$(x)") == [] || true') is True
    assert evaluate(engine, 'shell("$(x)") == [] && false') is False
    with pytest.raises(EvaluationError, match=r"shell\(\): a command whose name the shell would expand at character 1"):
        evaluate(engine, 'shell("$(x)") == [] || false')
    assert not engine.compile('shell("$(x)") == []', TYPES).is_false(engine.activation({}))


@BOTH
def test_a_function_that_breaks_is_an_error_and_never_a_value(engine: Any) -> None:
    def breaks(text: str) -> bool:
        raise KeyError(text)

    made = type(engine)((Function("json", breaks, FUNCTIONS[1].returns),))
    with pytest.raises(EvaluationError, match=r"json\(\) broke: KeyError"):
        evaluate(made, 'json("x") || false')
    assert evaluate(made, 'json("x") || true') is True


@BOTH
@pytest.mark.parametrize(
    ("source", "column", "message", "hint"),
    [
        ("true && shell()", 9, r"shell\(\) takes 1 argument, not 0", r"write shell\(command\)"),
        ('shell("a", "b")', 1, r"takes 1 argument, not 2", ""),
        ('sql("a", "b", "c")', 1, r"takes 1 or 2 arguments, not 3", ""),
        ("args.x.shell()", 8, "shell is no method", r"write shell\(command\)"),
        ('cidr(args.x, "10.0.0.1/8")', 14, r"write 10\.0\.0\.0/8", ""),
        ('cidr(args.x, "10.0.0.0/33")', 14, "no range of addresses", ""),
        ("""glob(args.x, '''[ab]''')""", 14, "character classes", ""),
        ('sql(args.x, "klingon")', 13, "no dialect 'klingon'", ""),
        ("shel(args.x)", 1, "unknown function shel", "did you mean shell?"),
        ('seen(args.x) == "web"', 1, "unknown function seen", "a later version will have it"),
        ("seen(args.x)", 1, "unknown function seen", "a later version will have it"),
        ('request.time.getHours("Europe/Berln") < 6', 23, "no time zone", "Europe/Berlin"),
        ('timestamp(args.x).getDayOfWeek("Nowhere") < 6', 32, "no time zone", "UTC"),
        ('request.time < timestamp("2026-13-31T00:00:00Z")', 26, "no timestamp", "2026-12-31"),
        ('request.time + duration("1 hour") < request.time', 25, "no duration", "1h30m"),
        ('request.headers["X-Shift"] == "night"', 17, "no header is called X-Shift", 'write "x-shift"'),
        ('default(request.headers["X-Shift"], "") == "night"', 25, "no header is called X-Shift", 'write "x-shift"'),
        ("has(request.headers.Cookie)", 21, "no header is called Cookie", 'write "cookie"'),
        ('true && "X-Debug" in request.headers', 9, "no header is called X-Debug", 'write "x-debug"'),
    ],
)
def test_the_loader_finds_a_misused_function(engine: Any, source: str, column: int, message: str, hint: str) -> None:
    with pytest.raises(CelError, match=message) as raised:
        engine.compile(source, TYPES)
    assert (raised.value.line, raised.value.column) == (1, column)
    assert hint.replace("\\", "") in raised.value.hint


def test_a_literal_with_escapes_is_left_to_the_call() -> None:
    with pytest.raises(EvaluationError, match="no range"):
        evaluate(ENGINES[0], r'cidr("10.0.0.1", "\x31\x30/99")')


@pytest.mark.parametrize("name", ["cel-expr-python", "cel-python"])
def test_sql_must_be_turned_on(name: str) -> None:
    with pytest.raises(CelError, match="unknown function sql") as raised:
        load_engine(name).compile("sql(args.x) == []", TYPES)
    assert "cel_functions: {sql: true}" in raised.value.hint


def test_sql_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "gateway.policy.functions_sql", None)
    with pytest.raises(EngineError, match="install sqlglot") as raised:
        load_engine(sql=True)
    assert raised.value.key == "cel_functions"


def test_a_rule_with_a_function_refuses_what_it_cannot_read() -> None:
    book = book_of(policy("p", 'shell(args.command).exists(c, c[0] == "rm")', "args.n > 5"))
    rules = book.rules("bank", "POST /transfers")

    def said(command: Any) -> list[tuple[str, bool]]:
        return [(one.rule, bool(one.error)) for one in rules.judge(call_to(args={"command": command, "n": 1}))]

    assert said("ls") == []
    assert said("ls; 'r'm -rf /") == [("r0", False)]
    assert said("ls; $(echo rm) -rf /") == [("r0", True)]
    assert said(["rm"]) == [("r0", True)]


HOSTILE = st.one_of(
    st.text(max_size=60),
    st.text(alphabet="ab \t\n'\"\\$`(){}[]<>|&;#*?=~!,.:/@%0-1", max_size=40),
    st.sampled_from(["a" * 70_000, "[" * 10_000, "(" * 5000, "*" * 3000, "\0", "a\0b", "é" * 9000, "{" * 300]),
)


@settings(max_examples=300, deadline=None)
@given(name=st.sampled_from(NAMES), text=HOSTILE, second=st.sampled_from(["10.0.0.0/8", "*a*", "mysql"]))
def test_no_text_brings_more_out_of_a_function_than_a_value_or_its_error(name: str, text: str, second: str) -> None:
    function = next(one for one in functions_for(sql=True) if one.name == name)
    arguments = [text, second][: function.overloads[-1]]
    try:
        guarded(function)(arguments)
    except FunctionError as error:
        assert "broke" not in str(error)
        assert str(error).startswith(f"{name}(): ")


@settings(max_examples=300, deadline=None)
@given(name=st.sampled_from(NAMES), text=HOSTILE.filter(lambda text: "\0" not in text))
def test_both_engines_agree_on_any_text(name: str, text: str) -> None:
    second = {"cidr": ', "10.0.0.0/8"', "glob": ', "*a*"'}.get(name, "")
    told = []
    for engine in ENGINES:
        try:
            told.append(("value", evaluate(engine, f"{name}(args.x{second})", x=text)))
        except EvaluationError as error:
            told.append(("error", error.message))
    (kind, value), (other_kind, other) = told
    assert kind == other_kind
    assert value == other if kind == "value" else value.startswith(f"{name}(): ")


@BOTH
@pytest.mark.parametrize(
    "source",
    [
        'request.time < timestamp("2026-12-31T00:00:00Z") || duration("1h30m") < duration("-1.5s")',
        'duration("250ms") > duration("0s")',
        '"x-shift" in request.headers && request.headers["x-shift"] == "Night"',
        '"Night" in [request.headers["x-shift"]]',
        'request.headers.exists(name, name == "X-Shift") || "A" == args["B"]',
    ],
)
def test_times_and_headers_that_are_written_well_load(engine: Any, source: str) -> None:
    engine.compile(source, TYPES)
