"""What the checks said before they were made fast is what they say today."""

import json
from collections.abc import Iterable
from math import isclose
from pathlib import Path
from typing import Any

import pytest

from tests.support.quality_cases import KINDS, Group, said

_FROZEN = json.loads(
    (Path(__file__).parents[1] / "data" / "findings" / "findings.json").read_text(encoding="utf-8")
)
_TOLERANCE = 1e-9


@pytest.mark.parametrize("kind", KINDS)
def test_findings_are_those_of_before(kind: str) -> None:
    frozen = {(name, settings): groups for of, name, settings, groups in _FROZEN if of == kind}

    today = {(name, settings): groups for name, settings, groups in said(kind)}

    assert list(today) == list(frozen)
    assert [key for key in frozen if not _are_same(today[key], frozen[key])] == []


def _are_same(today: list[Group], frozen: list[Any]) -> bool:
    """The same checks, reasons, limits, refusals and leads in the same order, values too."""
    if _without_values(today) != _without_values(frozen):
        return False
    return all(
        one is other or isclose(one, other, rel_tol=_TOLERANCE)
        for one, other in zip(_values(today), _values(frozen), strict=True)
    )


def _without_values(groups: Iterable[Any]) -> list[Any]:
    return [(*one[:4], [lead for lead, _ in one[4]]) for one in groups]


def _values(groups: Iterable[Any]) -> list[Any]:
    return [value for one in groups for _, value in one[4]]
