"""``shell()``: the commands that would be run, or an error."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.policy.functions_shell import shell
from gateway.policy.functions_text import FunctionError


@pytest.mark.parametrize(
    ("command", "commands"),
    [
        ("", []),
        (" \t\n", []),
        ("# only a comment", []),
        ("ls -l", [["ls", "-l"]]),
        ("a | b && c; d || e & f |& g", [["a"], ["b"], ["c"], ["d"], ["e"], ["f"], ["g"]]),
        ("a\nb\n\n# c\nd;", [["a"], ["b"], ["d"]]),
        ("a &&\n# why\n b", [["a"], ["b"]]),
        ("r\\m 'x y' \"a 'b'\" c\"d\"'e'\\ f", [["rm", "x y", "a 'b'", "cde f"]]),
        ('echo "\\$x \\\\ \\" \\a" \'\\\'', [["echo", '$x \\ " \\a', "\\"]]),
        ("a\\\nb c \\\n d", [["ab", "c", "d"]]),
        ('echo $HOME ${HOME}/x "$1" $? $', [["echo", "$HOME", "${HOME}/x", "$1", "$?", "$"]]),
        ("grep 'a$' \"b$\" c$", [["grep", "a$", "b$", "c$"]]),
        ("ls *.py ~/x [ab]? a#b {} {", [["ls", "*.py", "~/x", "[ab]?", "a#b", "{}", "{"]]),
        ("awk '{print $1, $(2)}' f", [["awk", "{print $1, $(2)}", "f"]]),
        ("a 2>&1 >/dev/null 2> '/dev/null' < /dev/null &>/dev/null >&-", [["a"]]),
        ("a>&2|b", [["a"], ["b"]]),
        ("echo 2 >/dev/null", [["echo", "2"]]),
        ("\"if\" x; 'for' y; \\while z", [["if", "x"], ["for", "y"], ["while", "z"]]),
        ("env A=1 b=c d", [["env", "A=1", "b=c", "d"]]),
        ("'' x", [["", "x"]]),
        ("find . -exec rm {} \\;", [["find", ".", "-exec", "rm", "{}", ";"]]),
        ("echo 'a\nb'; c", [["echo", "a\nb"], ["c"]]),
    ],
)
def test_commands_are_told_as_they_would_be_run(command: str, commands: list[list[str]]) -> None:
    assert shell(command) == commands


@pytest.mark.parametrize(
    ("command", "at"),
    [
        ("a $(b)", 3),
        ('a "$(b)"', 4),
        ("a `b`", 3),
        ('a "`b`"', 4),
        ("a $\\\n(b)", 3),
        ("a $((1+1))", 3),
        ("a $[1]", 3),
        ("a ${b:-c}", 3),
        ("a ${b", 3),
        ("a $'b'", 3),
        ('a $"b"', 3),
        ("a $=b", 3),
        ("$a b", 1),
        ('"$a" b', 2),
        ("a; ${b} c", 4),
        ("a$IFS/b", 2),
        ("*m x", 1),
        ("~/x", 1),
        ("{rm,x}", 1),
        ("=ls", 1),
        ("a {b,c}", 3),
        ("a {1..3}", 3),
        ("a {b,{}}", 3),
        ("a {fd}>/dev/null", 3),
        ("a 'b", 3),
        ('a "b', 3),
        ("a \\", 3),
        ("a <<E\nb\nE", 3),
        ("a <<< b", 3),
        ("a <(b)", 4),
        ("a >(b)", 4),
        ("a > f", 3),
        ("a 02>&1", 3),
        ("a >> f", 3),
        ("a < f", 3),
        ("a &> f", 3),
        ("a &> 1", 3),
        ("a >&f", 3),
        ("a > $f", 3),
        ("a > /dev/null/../x", 3),
        ("> f a", 1),
        ("A=1 b", 1),
        ("A+=1", 1),
        ("A[0]=1 b", 1),
        ("eval a", 1),
        ("'ev'al a", 1),
        (". a", 1),
        ("a; source b", 4),
        ("exec a", 1),
        ("command a", 1),
        ("alias a=b", 1),
        ("trap a EXIT", 1),
        ("if a; then b; fi", 1),
        ("i\\\nf a", 1),
        ("! a", 1),
        ("{ a; }", 1),
        ("(a)", 1),
        ("a() { b; }", 2),
        ("a @(b|c)", 4),
        ("a=(b)", 3),
        ("a ;; b", 3),
        ("; a", 2),
        ("a && && b", 8),
        ("a &&", 5),
        ("a |", 4),
        ("a\rb", 2),
        ("a\u00a0b", 2),
        ("a \x00", 3),
        ("a 'b\x00'", 3),
        ("a \\\r\n", 3),
        ("a" * 16_385, 0),
    ],
)
def test_what_cannot_be_read_safely_is_an_error(command: str, at: int) -> None:
    with pytest.raises(FunctionError, match=f"at character {at}$" if at else "characters, more than"):
        shell(command)


@given(st.lists(st.lists(st.text(max_size=8).filter(lambda text: "\0" not in text), min_size=1), max_size=4))
def test_what_shlex_quotes_is_read_back(commands: list[list[str]]) -> None:
    named = [["run", *words] for words in commands]
    assert shell(" ; ".join(shlex.join(words) for words in named)) == named


@pytest.mark.parametrize("program", [path for path in ("/bin/sh", "/bin/bash", "/bin/zsh") if Path(path).exists()])
@settings(max_examples=60, deadline=None)
@given(
    pieces=st.lists(
        st.sampled_from(
            ["show", " ", "  ", "a", "'", '"', "\\", "\n", "b c", "'d e'", '"f"', "#", ";", "$", "=", "-x", "%"]
        ),
        min_size=1,
        max_size=12,
    )
)
def test_a_shell_runs_what_is_told(program: str, tmp_path_factory: pytest.TempPathFactory, pieces: list[str]) -> None:
    """What is read is what a real shell makes of it: each command prints its words."""
    text = "show " + "".join(pieces)
    try:
        commands = shell(text)
    except FunctionError:
        return
    folder: Path = tmp_path_factory.mktemp("sh")
    names = {words[0] for words in commands}
    if not all(name.isalnum() for name in names) or any("$" in word[:-1] for words in commands for word in words):
        return
    # Each command is a function of that name, which prints its words.
    script = "".join(f"{name}() {{ printf '%s\\037' {name} \"$@\"; printf '\\036'; }}\n" for name in names)
    done = subprocess.run([program, "-c", script + text], capture_output=True, cwd=folder, timeout=5, check=False)
    told = [part.split(b"\x1f")[:-1] for part in done.stdout.split(b"\x1e")[:-1]]
    assert told == [[word.encode() for word in words] for words in commands]
