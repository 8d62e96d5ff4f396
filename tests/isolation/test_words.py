"""What passes between run and reader process, without a process: frames, terms, examinations."""

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgbatch.errors import InputFault
from ecgbatch.examination import Terms
from ecgbatch.isolation import wire
from ecgbatch.isolation.answer import parse_answer
from ecgbatch.isolation.terms_text import terms_of, text_of
from ecgbatch.preprocessing.spec import preset
from ecgbatch.records import Examined
from ecgbatch.settings import load_settings
from ecgbatch.terms import ReasonCode

PIECES = st.lists(st.binary(max_size=40), max_size=6)


@given(PIECES, st.lists(st.integers(0, 200), max_size=8))
def test_frames_are_the_same_however_they_are_cut(bodies: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(
        bytes(part)
        for n, body in enumerate(bodies)
        for part in wire.encoded({"serial": n}, [body[:7], b"", body[7:]])
    )
    ends = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    frames = wire.Frames(40)
    got = [frame for start, end in pairwise(ends) for frame in frames.of(stream[start:end])]
    assert [bytes(frame.body) for frame in got] == bodies
    assert [json.loads(frame.header)["serial"] for frame in got] == list(range(len(bodies)))


def test_terms_are_the_same_numbers_as_plain_values() -> None:
    settings = load_settings(environment={})
    terms = Terms(settings.quality, settings.eligibility, preset("ecgfounder"))
    plain = terms_of(text_of(terms))
    for part in ("quality", "eligibility"):
        theirs, mine = getattr(terms, part), getattr(plain, part)
        for name in type(theirs).model_fields:
            assert vars(getattr(mine, name)) == getattr(theirs, name).model_dump()
    theirs, mine = terms.preprocessing, plain.preprocessing
    assert [vars(step) for step in mine.steps] == [step.model_dump() for step in theirs.steps]


GOOD: dict[str, Any] = {
    "kind": "examined",
    "serial": 1,
    "in_slot": True,
    "stated": {
        "signal_digest": "0" * 64,
        "format": "muse",
        "sampling_frequency": 500.0,
        "n_samples": 5000,
        "reader": "muse",
        "reader_version": "1",
        "identity": {"patient_identifier": "7", "acquired_at": "2024-01-01T10:35:17"},
        "statement_normal": None,
    },
    "findings": [
        {
            "check": "amplitude",
            "reason": "amplitude_implausible",
            "lead": "V1",
            "value": "inf",
            "limit": 10.0,
            "refuses": False,
        }
    ],
    "outside": None,
    "refused": None,
    "padded_samples": 0,
}
INPUT = np.ones((12, 5000), "<f4").tobytes()


def _parsed(said: dict[str, Any], slot: bytes = INPUT, body: bytes = b"") -> object:
    frame = wire.Frame(json.dumps(said).encode(), bytearray(body))
    return parse_answer(frame, 1, ("muse",), lambda _: slot, is_examination=True)


def test_control_a_sound_examination_is_believed() -> None:
    answer = _parsed(GOOD)
    assert isinstance(answer, Examined)
    assert answer.prepared is not None
    assert answer.prepared.signal.shape == (12, 5000)
    assert answer.findings[0].value == np.inf
    again = _parsed({**GOOD, "in_slot": False}, b"", INPUT)
    assert isinstance(again, Examined)
    refused = _parsed({**GOOD, "refused": "lead_flat", "padded_samples": None}, b"")
    assert isinstance(refused, Examined)
    assert refused.refused is ReasonCode.LEAD_FLAT


@pytest.mark.parametrize(
    "changes",
    [
        {"serial": 2},
        {"refused": "lead_flat"},
        {"padded_samples": None},
        {"padded_samples": -1},
        {"padded_samples": 5000},
        {"outside": "no"},
        {"refused": "no_such_reason", "padded_samples": None},
        {"in_slot": False},
        {"more": 1},
        {"kind": "recording"},
        {"stated": {**GOOD["stated"], "reader": "wfdb"}},
        {"stated": {**GOOD["stated"], "n_samples": 0}},
        {"stated": {**GOOD["stated"], "sampling_frequency": float("nan")}},
        {"findings": [{**GOOD["findings"][0], "lead": "V7"}]},
        {"findings": [{**GOOD["findings"][0], "check": "../x"}]},
        {"findings": [{**GOOD["findings"][0], "reason": "no_such_reason"}]},
        {"findings": [{**GOOD["findings"][0], "value": "1e9"}]},
    ],
)
def test_examination_that_is_none_is_not_believed(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"not|another|no such|validation error"):
        _parsed({**GOOD, **changes})


@pytest.mark.parametrize("slot", [INPUT[:-4], INPUT + bytes(4), b"\xff" * len(INPUT)])
def test_input_of_another_size_or_without_numbers_is_not_believed(slot: bytes) -> None:
    with pytest.raises(ValueError, match="not a"):
        _parsed(GOOD, slot)


def test_answer_to_a_decoding_is_no_examination() -> None:
    said = {**GOOD}
    frame = wire.Frame(json.dumps(said).encode(), bytearray())
    with pytest.raises(ValueError, match="not what was asked for"):
        parse_answer(frame, 1, ("muse",), lambda _: INPUT, is_examination=False)


def test_fault_is_a_value() -> None:
    said = {"kind": "fault", "serial": 1, "error": "InputFault", "reason": "format_unknown"}
    answer = _parsed({**said, "detail": ""})
    assert isinstance(answer, InputFault)
    assert answer.reason is ReasonCode.FORMAT_UNKNOWN
