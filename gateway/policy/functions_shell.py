"""``shell()``: the commands that a line of shell would run, as their words (POSIX Shell Command Language, 2.2 to 2.10).

Read are simple commands, joined by ``|``, ``&&``, ``||``, ``;``, ``&`` and line breaks. All else that decides what is
run (substitutions, compound commands, here-documents, files written by redirection, text read again as commands) is an
error, and so is what sh, bash and zsh read differently: a rule must not be told of other commands than are run.
"""

from __future__ import annotations

import re
from typing import NoReturn

from gateway.policy.functions_text import FunctionError, bounded

COMMAND_CAP = 16_384

_POSIX = (
    "!",
    "case",
    "do",
    "done",
    "elif",
    "else",
    "esac",
    "fi",
    "for",
    "if",
    "in",
    "then",
    "until",
    "while",
    "{",
    "}",
)
_BASH = ("[[", "coproc", "function", "select", "time")
_ZSH = ("foreach", "nocorrect", "noglob", "repeat")
_COMPOUND = frozenset((*_POSIX, *_BASH, *_ZSH))
"""Words that begin or belong to a compound command."""
_AGAIN = frozenset(("-", ".", "alias", "builtin", "command", "eval", "exec", "source", "trap"))
"""Commands that make the shell read text, or its own arguments, as commands again."""
_SEPARATORS = ("&&", "||", "|&", ";", "&", "|", "\n")
_REDIRECTION = re.compile(r"&>>|&>|>>|>\||>&|<&|<>|<<|>|<")
_DUPLICATED = re.compile(r"[0-9]+-?|-")
_NAME = re.compile(r"\$(?:[A-Za-z_][A-Za-z0-9_]*|\{[A-Za-z_][A-Za-z0-9_]*\}|[0-9?!#$@*-])")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\[.*\])?\+?=", re.DOTALL)
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=-]+")
_NUMBER = re.compile(r"[0-9]+(?=[<>])")
_IN_DOUBLE = frozenset('$`"\\\n')


def shell(cmd: str) -> list[list[str]]:
    """The words of each command in the order they stand, quotes removed: ``ls -l | wc`` is ``[["ls", "-l"], ["wc"]]``.

    Parameters (``$HOME``, ``${HOME}``), ``~`` and patterns (``*.py``) in arguments stay as they are written. Dropped
    are comments, redirections to and from /dev/null, and of one descriptor to another (``2>&1``). Empty text is ``[]``.

    Raises:
        FunctionError: it cannot be read safely; says why, and at which character (from 1).
    """
    return _Line(bounded(cmd, COMMAND_CAP)).read()


class _Line:
    """One line of shell. ``at`` is the next character to read."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.commands: list[list[str]] = []
        self.words: list[str] = []

    def fail(self, what: str) -> NoReturn:
        raise FunctionError(f"{what} at character {self.at + 1}")

    def read(self) -> list[list[str]]:
        """All commands."""
        waiting = ""  # the operator that needs a command after it
        while True:
            self._blanks()
            separator = self._separator()
            if separator is None:
                if self.at == len(self.text):
                    break
                self._piece()
                waiting = ""
                continue
            if self.words:
                self.commands.append(self.words)
                self.words = []
                waiting = separator if separator in ("&&", "||", "|", "|&") else ""
            elif separator != "\n":
                self.fail(f"{separator} without a command before it")
        if self.words:
            self.commands.append(self.words)
        elif waiting:
            self.fail(f"{waiting} without a command after it")
        return self.commands

    def _blanks(self) -> None:
        text = self.text
        while True:
            while text[self.at : self.at + 1] in (" ", "\t") and self.at < len(text):
                self.at += 1
            if text.startswith("\\\n", self.at):
                self.at += 2
                continue
            if text.startswith("#", self.at):  # only here, where a word would begin, does it begin a comment
                end = text.find("\n", self.at)
                self.at = len(text) if end < 0 else end
            return

    def _separator(self) -> str | None:
        if self.text.startswith((";;", ";&", ";|"), self.at):
            self.fail("an operator of case")
        if self.text.startswith("&>", self.at):
            return None
        for separator in _SEPARATORS:
            if self.text.startswith(separator, self.at):
                self.at += len(separator)
                return separator
        return None

    def _piece(self) -> None:
        """A word or a redirection."""
        number = _NUMBER.match(self.text, self.at)
        if number is not None:
            if len(number[0]) > 1:
                self.fail("a descriptor of more than one digit, which is a word to some shells")
            self.at = number.end()
        operator = _REDIRECTION.match(self.text, self.at)
        if operator is not None:
            self._redirection(operator[0])
            return
        start, first = self.at, not self.words
        word, raw = self._word(first=first)
        if first:
            self._check_command(start, word, raw)
        elif _expands(raw) or (raw[:1] == "{" and self.text.startswith(("<", ">"), self.at)):
            self.at = start
            self.fail("braces that only some shells expand")
        self.words.append(word)

    def _redirection(self, operator: str) -> None:
        if not self.words:
            self.fail("a redirection before the command")
        if operator == "<<":
            self.fail("a here-document")
        start = self.at
        self.at += len(operator)
        if self.text.startswith("(", self.at):
            self.fail("a process substitution")
        self._blanks()
        target, _ = self._word(first=False)
        if operator in (">&", "<&") and _DUPLICATED.fullmatch(target):
            return
        if target != "/dev/null":
            self.at = start
            self.fail("a redirection to or from a file")

    def _check_command(self, start: int, word: str, raw: str) -> None:
        """Refuse what is not the name of a command to run. ``raw`` is the word without its quoted parts."""
        self.at, end = start, self.at
        if _ASSIGNMENT.match(raw):
            self.fail("a variable set for a command")
        if word in _COMPOUND and raw == word:
            self.fail(f"{word}: a compound command")
        if word in _AGAIN:
            self.fail(f"{word}: the shell would read on in its arguments")
        if raw and (not _PLAIN.fullmatch(raw) or raw[0] in "=%"):
            self.fail("a command whose name the shell would expand")
        self.at = end

    def _word(self, *, first: bool) -> tuple[str, str]:
        """A word without its quotes, and the part of it that was not quoted; ``first``: it names a command."""
        text = self.text
        word: list[str] = []
        raw: list[str] = []
        start = self.at
        while self.at < len(text):
            c = text[self.at]
            plain = _PLAIN.match(text, self.at)
            if plain is not None:
                word.append(plain[0])
                raw.append(plain[0])
                self.at = plain.end()
                continue
            if c in " \t\n;&|<>":
                break
            if c == "'":
                word.append(self._single())
            elif c == '"':
                word.append(self._double(first=first))
            elif c == "\\":
                word.append(self._escaped())
            elif c == "$":
                word.append(self._parameter(first=first))
            else:
                self._check_bare(c)
                word.append(c)
                raw.append(c)
                self.at += 1
        if self.at == start:
            self.fail("a word is missing")
        return "".join(word), "".join(raw)

    def _check_bare(self, c: str) -> None:
        if c in "()":
            self.fail("brackets: a subshell, a function or a pattern")
        if c == "`":
            self.fail("a command substitution")
        if c < " " or c == "\x7f" or c.isspace():
            self.fail("a control character or a space that not every shell takes for one")

    def _single(self) -> str:
        end = self.text.find("'", self.at + 1)
        if end < 0:
            self.fail("a quote that does not end")
        inside = self.text[self.at + 1 : end]
        if "\0" in inside:
            self.fail("the character U+0000")
        self.at = end + 1
        return inside

    def _double(self, *, first: bool) -> str:
        start, text = self.at, self.text
        inside: list[str] = []
        self.at += 1
        while not text.startswith('"', self.at):
            c = text[self.at : self.at + 1]
            if not c:
                self.at = start
                self.fail("a quote that does not end")
            if c == "\\" and text[self.at + 1 : self.at + 2] in _IN_DOUBLE:
                inside.append(self._escaped())
            elif c == "$":
                inside.append(self._parameter(first=first, quoted=True))
            elif c == "`":
                self.fail("a command substitution")
            elif c == "\0":
                self.fail("the character U+0000")
            else:
                inside.append(c)
                self.at += 1
        self.at += 1
        return "".join(inside)

    def _escaped(self) -> str:
        c = self.text[self.at + 1 : self.at + 2]
        if not c or (c < " " and c not in "\t\n") or c == "\x7f":
            self.fail("a backslash before the end or a control character")
        self.at += 2
        return "" if c == "\n" else c

    def _parameter(self, *, first: bool, quoted: bool = False) -> str:
        """What begins with ``$``: a plain parameter, as it is written, or a dollar that is only that."""
        if first:
            self.fail("a command whose name the shell would expand")
        following = self.text[self.at + 1 : self.at + 2]
        if quoted and following in ("'", '"'):
            self.at += 1
            return "$"
        if following.isalnum() or (following and following in "({['\"_?!#$@*-+=~^"):
            found = _NAME.match(self.text, self.at)
            if found is None:
                self.fail("a substitution or an expansion")
            self.at = found.end()
            return found[0]
        if self.text.startswith("\\\n", self.at + 1):
            self.fail("a line that goes on after $")
        self.at += 1
        return "$"


def _expands(raw: str) -> bool:
    """Whether the unquoted part of a word has braces with alternatives or a range."""
    inside = raw[raw.find("{") + 1 : raw.rfind("}")] if "{" in raw else ""
    return "," in inside or ".." in inside
