"""Seeded damage: what disks, networks, editors and attackers do to files."""

import random
import re
from collections.abc import Callable

from ecgbatch.records import Member, RecordingBytes

_HEAD_BYTES = 4096
_NUMBER = re.compile(rb"(?<![\w.])[-+]?\d{1,9}(?:\.\d{1,9})?(?![\w.])")
_NUMBERS = (b"0", b"-1", b"1", b"2", b"999999999", b"1e9", b"1e-320", b"nan", b"inf", b"4,88", b"")
_WORDS = (
    0, 1, 2, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF0,
    0xFFFFFFFF,
)  # fmt: skip
_TOKENS = (
    b"-", b"9" * 20, b"\xff", b"\0", b"\n", b"<", b">", b"&x;", b"<!--", b"]]>", b"<a>" * 70,
    b"#", b"\\", b"\xef\xbb\xbf", b"\x1f\x8b", b" " * 100,
)  # fmt: skip

Damage = Callable[[bytes, random.Random], bytes]


def dice(*names: object) -> random.Random:
    """Repeatable: the same names give the same throws."""
    return random.Random("/".join(map(str, names)))  # noqa: S311 - repeatable, not secret


def mutant(source: RecordingBytes, throws: random.Random) -> RecordingBytes:
    """The recording with one to three damages in one of its members."""
    place = throws.randrange(len(source.members))
    content = source.members[place].content
    for _ in range(throws.choice((1, 1, 1, 1, 2, 3))):
        content = throws.choice(DAMAGES)(content, throws) if content else content
    members = list(source.members)
    members[place] = Member(members[place].name, content)
    return RecordingBytes(tuple(members))


def _place(content: bytes, throws: random.Random) -> int:
    """Half of the time near the start, where most headers are."""
    end = min(len(content), _HEAD_BYTES) if throws.random() < 0.5 else len(content)
    return throws.randrange(end)


def _flip_bit(content: bytes, throws: random.Random) -> bytes:
    at = _place(content, throws)
    return content[:at] + bytes([content[at] ^ 1 << throws.randrange(8)]) + content[at + 1 :]


def _change_byte(content: bytes, throws: random.Random) -> bytes:
    at = _place(content, throws)
    return content[:at] + throws.randbytes(1) + content[at + 1 :]


def _cut(content: bytes, throws: random.Random) -> bytes:
    return content[: throws.randrange(len(content))]


def _delete(content: bytes, throws: random.Random) -> bytes:
    at = _place(content, throws)
    return content[:at] + content[at + throws.randrange(1, 64) :]


def _insert(content: bytes, throws: random.Random) -> bytes:
    at = _place(content, throws)
    return content[:at] + throws.randbytes(throws.randrange(1, 64)) + content[at:]


def _repeat(content: bytes, throws: random.Random) -> bytes:
    at = _place(content, throws)
    return content[: at + throws.randrange(1, 512)] + content[at:]


def _swap(content: bytes, throws: random.Random) -> bytes:
    length = throws.randrange(1, 512)
    first, second = sorted((_place(content, throws), throws.randrange(len(content))))
    second = max(second, first + length)
    middle = content[first + length : second]
    return (
        content[:first]
        + content[second : second + length]
        + middle
        + content[first : first + length]
        + content[second + length :]
    )


def _blank(content: bytes, throws: random.Random) -> bytes:
    at = _place(content, throws)
    hole = content[at : at + throws.randrange(1, 512)]
    return content[:at] + bytes(len(hole)) + content[at + len(hole) :]


def _edit_number(content: bytes, throws: random.Random) -> bytes:
    found = _NUMBER.search(content, _place(content, throws))
    if found is None:
        return _change_byte(content, throws)
    old = found[0]
    digit = str(throws.randrange(10)).encode()
    at = throws.randrange(len(old))
    new = throws.choice((*_NUMBERS, old + digit, old[:at] + digit + old[at + 1 :], b"-" + old))
    return content[: found.start()] + new + content[found.end() :]


def _edit_word(content: bytes, throws: random.Random) -> bytes:
    at, length = _place(content, throws), throws.choice((1, 2, 4))
    word = throws.choice(_WORDS) & ((1 << 8 * length) - 1)
    order = throws.choice(("little", "big"))
    return content[:at] + word.to_bytes(length, order) + content[at + length :]


def _insert_token(content: bytes, throws: random.Random) -> bytes:
    at = _place(content, throws)
    return content[:at] + throws.choice(_TOKENS) + content[at:]


DAMAGES: tuple[Damage, ...] = (
    _flip_bit, _change_byte, _cut, _delete, _insert, _repeat, _swap, _blank, _edit_number,
    _edit_number, _edit_word, _insert_token,
)  # fmt: skip
