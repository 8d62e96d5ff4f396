"""Which files count: glob patterns relative to the source's root."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

_TOKEN = re.compile(r"\*\*/|\*\*|\*|\?|\[!?\]?[^\]/]*\]|.", re.DOTALL)
_BELOW = "/**"


@dataclass(frozen=True, slots=True)
class Patterns:
    """Attributes:
    include: what counts; with none, everything does.
    exclude: what does not, also if it is included.
    pruned: folders that are not even entered.
    """

    include: tuple[re.Pattern[str], ...] = ()
    exclude: tuple[re.Pattern[str], ...] = ()
    pruned: tuple[re.Pattern[str], ...] = ()

    def admit(self, locator: str) -> bool:
        """Whether a file counts, by the name of its first member."""
        if not self.include and not self.exclude:
            return True
        path = _path(locator)
        is_in = not self.include or any(one.fullmatch(path) for one in self.include)
        return is_in and not any(one.fullmatch(path) for one in self.exclude)

    def enter(self, locator: str) -> bool:
        """Whether a folder is to be looked through."""
        return not self.pruned or not any(one.fullmatch(_path(locator)) for one in self.pruned)


def patterns(include: Iterable[str], exclude: Iterable[str]) -> Patterns:
    """`**/` any number of folders, `**` anything, `*` and `?` within one name, `[a-z]`, `[!a]`.

    An excluded `old/**` keeps the folder `old` from being entered at all.
    """
    left_out = tuple(exclude)
    below = (one.removesuffix(_BELOW) for one in left_out if one.endswith(_BELOW))
    return Patterns(*(tuple(map(_compiled, one)) for one in (include, left_out, below)))


EVERYTHING = Patterns()


def _path(locator: str) -> str:
    return os.fsdecode(unquote_to_bytes(locator))


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile("".join(map(_regular, _TOKEN.findall(pattern))), re.DOTALL)


def _regular(token: str) -> str:
    fixed = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    if token in fixed:
        return fixed[token]
    if len(token) == 1:
        return re.escape(token)
    negated = token.startswith("[!")
    inner = token[2 if negated else 1 : -1]
    escaped = re.sub(r"([\\\]\[^&~|])", r"\\\1", inner)
    return f"[^/{escaped}]" if negated else f"(?!/)[{escaped}]"
