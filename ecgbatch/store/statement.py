"""A statement that somebody typed: taken apart far enough to see that it only reads.

The database has the last word (a read-only transaction, one statement, an authorizer); what is
refused here is refused before it is reached, with a line that says why.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ecgbatch.errors import SetupFault
from ecgbatch.terms import ReasonCode

READING = ("SELECT", "WITH", "VALUES", "TABLE", "EXPLAIN")

_TOKEN = re.compile(
    r"""
    (?P<blank>\s+|--[^\n]*)
  | (?P<comment>/\*)
  | (?P<escaped>[uU]&["'])
  | (?P<string>
        [eE]'(?:[^'\\]|\\.|'')*'
      | [nNbBxX]?'(?:[^']|'')*'
      | (?P<tag>\$(?:[^\W\d]\w*)?\$).*?(?P=tag)
    )
  | (?P<quoted>"(?:[^"]|"")*"|`[^`]*`)
  | (?P<word>[^\W\d][\w$]*)
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_ENDS = re.compile(r"/\*|\*/")


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a statement without blanks and comments; `start` counts characters from 0."""

    kind: str
    """word, quoted, string or other."""
    text: str
    start: int

    @property
    def name(self) -> str:
        """The identifier as a database understands it; empty for what is none."""
        if self.kind == "word":
            return self.text.lower()
        return self.text[1:-1].replace('""', '"') if self.kind == "quoted" else ""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement that begins like one that reads; without its final semicolon."""

    text: str
    tokens: tuple[Token, ...]

    @property
    def names(self) -> frozenset[str]:
        """Every identifier in it, tables, columns and keywords alike."""
        return frozenset(token.name for token in self.tokens) - {""}

    @property
    def calls(self) -> frozenset[str]:
        """The identifiers that stand before a parenthesis: functions, among others."""
        pairs = zip(self.tokens, self.tokens[1:], strict=False)
        return frozenset(one.name for one, after in pairs if one.name and after.text == "(")

    def name_at(self, start: int) -> str:
        """The last part of the dotted identifier at a character; empty if there is none."""
        here = next((i for i, one in enumerate(self.tokens) if one.start == start), None)
        if here is None:
            return ""
        while here + 2 < len(self.tokens) and self.tokens[here + 1].text == ".":
            here += 2
        return self.tokens[here].name


def statement(text: str) -> Statement:
    """Take a statement as it was typed.

    Raises:
        SetupFault: STATEMENT_INVALID, there is none; STATEMENT_REFUSED, more than one, or one that
            does not begin like one that reads.
    """
    tokens = tuple(_tokens(text))
    while tokens and tokens[-1].text == ";":
        tokens = tokens[:-1]
    if not tokens:
        raise SetupFault(ReasonCode.STATEMENT_INVALID, "it is empty")
    if any(token.kind == "other" and token.text == ";" for token in tokens):
        raise SetupFault(ReasonCode.STATEMENT_REFUSED, "more than one statement")
    first = next((token for token in tokens if token.text != "("), None)
    if first is None or first.text.upper() not in READING:
        raise SetupFault(ReasonCode.STATEMENT_REFUSED, f"it begins with none of {_listed(READING)}")
    words = {token.text.upper() for token in tokens if token.kind == "word"}
    if {"EXPLAIN", "CREATE"} <= words:
        # PostgreSQL lets EXPLAIN ANALYZE fill a new table, also where a transaction only reads.
        raise SetupFault(ReasonCode.STATEMENT_REFUSED, "it does more than read")
    last = tokens[-1]
    return Statement(text[: last.start + len(last.text)], tokens)


def _tokens(text: str) -> Iterator[Token]:
    if "\0" in text:
        raise SetupFault(ReasonCode.STATEMENT_INVALID, "a NUL character")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise SetupFault(ReasonCode.STATEMENT_INVALID, "it is no UTF-8 text")
    at, before = 0, ""
    while found := _TOKEN.match(text, at):
        kind, start, at = found.lastgroup, at, found.end()
        if kind == "comment":
            at = _end_of_comment(text, at)
        elif kind == "escaped":
            raise SetupFault(ReasonCode.STATEMENT_REFUSED, "U& names hide what they say")
        elif kind is not None and kind != "blank":
            token = Token(kind, found.group(), start)
            if kind == "string" and before.startswith(("e'", "E'")):
                # PostgreSQL goes on with the first one, backslashes and all: it ends elsewhere.
                raise SetupFault(ReasonCode.STATEMENT_REFUSED, "a string after E'...'")
            before = token.text
            yield token


def _end_of_comment(text: str, at: int) -> int:
    """After the comment that was opened before `at`; comments nest on PostgreSQL."""
    depth = 1
    while depth:
        found = _COMMENT_ENDS.search(text, at)
        if found is None:
            raise SetupFault(ReasonCode.STATEMENT_INVALID, "a comment does not end")
        depth += 1 if found.group() == "/*" else -1
        at = found.end()
    return at


def _listed(words: tuple[str, ...]) -> str:
    return ", ".join(words)
