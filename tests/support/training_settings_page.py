"""Writes docs/training/settings.md from the settings' own descriptions: `make docs`."""

import inspect
import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from training.settings.experiment import Experiment

PAGE = Path(__file__).parents[2] / "docs" / "training" / "settings.md"
_INTRODUCTION = """# The settings file of an experiment, key by key

Written by `make docs` from the settings' own descriptions. One TOML file holds every number of an
experiment and nothing that differs from machine to machine. An unknown key, a key of the wrong
kind or a number outside its limits ends the command with exit code 4 and the key's name. A key
without a default must be stated.

`config/train.anyecg-ccta.toml` is a whole example, with a comment on each choice.
"""
_ENTRY = re.compile(r"(?:^|(?<=[;.]) )((?:[a-z_0-9*]+)(?:, [a-z_0-9*]+)*): ")


def text() -> str:
    """The page, one section per table of the TOML file."""
    return _INTRODUCTION + "".join(_sections(Experiment, ""))


def _sections(model: type[BaseModel], path: str) -> Iterator[str]:
    title = f"`[{path}]`" if path else "At the top"
    summary, meanings = _described(model)
    yield f"\n## {title}\n\n{summary}\n\n| key | default | meaning |\n|---|---|---|\n"
    below: list[tuple[str, type[BaseModel]]] = []
    for name, field in model.model_fields.items():
        part = _part(field)
        here = f"{path}.{name}" if path else name
        if part is not None:
            below.append((f"{here}.VESSEL" if "dict" in str(field.annotation) else here, part))
        shown = f"table `[{below[-1][0]}]`" if part is not None else _default(field)
        yield f"| `{name}` | {shown} | {meanings.get(name, '')} |\n"
    for here, part in below:
        yield from _sections(part, here)


def _described(model: type[BaseModel]) -> tuple[str, dict[str, str]]:
    """The summary of a class, and what it says of each attribute."""
    summary, _, attributes = inspect.getdoc(model).partition("Attributes:")  # type: ignore[union-attr]
    meanings: dict[str, str] = {}
    for entry in re.split(r"\n    (?! )", attributes):
        line = " ".join(entry.split())
        found = [(one, _keys(model, one[1])) for one in _ENTRY.finditer(line)]
        starts = [(one, keys) for one, keys in found if keys]
        ends = [*(one.start() for one, _ in starts[1:]), len(line)][: len(starts)]
        for (one, keys), end in zip(starts, ends, strict=True):
            meanings.update(dict.fromkeys(keys, _cell(line[one.end() : end], model)))
    return " ".join(summary.split()), meanings


def _keys(model: type[BaseModel], names: str) -> list[str]:
    """The keys that a list of names, perhaps with a star, stands for."""
    patterns = [re.compile(name.replace("*", ".*")) for name in names.split(", ")]
    return [key for key in model.model_fields if any(one.fullmatch(key) for one in patterns)]


def _cell(text: str, model: type[BaseModel]) -> str:
    """One cell; a key that is only named after a semicolon needs no words."""
    whole = text.strip(" ;")
    said, _, last = whole.rpartition("; ")
    return (said if last in model.model_fields else whole).replace("|", "\\|")


def _part(field: FieldInfo) -> type[BaseModel] | None:
    """The settings class within a field's type."""
    todo: list[Any] = [field.annotation]
    while todo:
        one = todo.pop()
        if inspect.isclass(one) and issubclass(one, BaseModel):
            return one
        todo.extend(get_args(one))
    return None


def _default(field: FieldInfo) -> str:
    return "none: state it" if field.is_required() else f"`{_plain(field.default)}`"


def _plain(value: object) -> str:
    match value:
        case None:
            return "absent"
        case bool():
            return str(value).lower()
        case Enum():
            return str(value.value)
        case dict():
            inner = ", ".join(f"{_plain(key)}: {_plain(one)}" for key, one in value.items())
            return f"{{{inner}}}"
        case tuple():
            return f"[{', '.join(map(_plain, value))}]"
    return str(value)


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
