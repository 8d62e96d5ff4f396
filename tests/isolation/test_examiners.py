"""A line of recordings through several reader processes: each answered, the right one blamed."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from conftest import is_running, isolation

from ecgbatch.errors import EcgbatchError, InputFault, Refusal
from ecgbatch.examination import Terms, examine
from ecgbatch.isolation.decoder import Decoder
from ecgbatch.isolation.examiners import Answer, Examiners
from ecgbatch.isolation.here import decode_here
from ecgbatch.isolation.slots import SLOT_BYTES, Slots
from ecgbatch.preprocessing.spec import preset
from ecgbatch.records import Examined, Member, RecordingBytes
from ecgbatch.resources import demonstration
from ecgbatch.settings import load_settings
from ecgbatch.terms import ReasonCode

R = ReasonCode
SAMPLES = demonstration("samples")
SETTINGS = load_settings(environment={})
TERMS = Terms(SETTINGS.quality, SETTINGS.eligibility, preset("anyecg-ccta"))


def _source(*paths: Path) -> RecordingBytes:
    return RecordingBytes(tuple(Member(path.name, path.read_bytes()) for path in paths))


ECGS = [
    *(_source(path) for path in sorted((SAMPLES / "muse").glob("*.xml"))),
    *(
        _source(path, path.with_suffix(".mat"))
        for path in sorted((SAMPLES / "wfdb").glob("*.hea"))
        if path.with_suffix(".mat").exists()
    ),
]
LARGE = RecordingBytes((Member("a", ECGS[0].first + b" " * SLOT_BYTES),))


def _order(text: str) -> RecordingBytes:
    return RecordingBytes((Member("a.trap", f"TRAP {text}".encode()),))


def _here(source: RecordingBytes, terms: Terms = TERMS) -> Examined:
    return examine(decode_here(source), terms)


def _assert_same(mine: Answer, theirs: Examined) -> None:
    assert isinstance(mine, Examined)
    for field in fields(Examined):
        if field.name != "prepared":
            assert getattr(mine, field.name) == getattr(theirs, field.name), field.name
    if mine.prepared is None or theirs.prepared is None:
        assert mine.prepared is theirs.prepared
        return
    assert mine.prepared.padded_samples == theirs.prepared.padded_samples
    assert mine.prepared.signal.dtype == np.float32
    assert not mine.prepared.signal.flags.writeable
    assert mine.prepared.signal.tobytes() == theirs.prepared.signal.tobytes()


@pytest.fixture
def nothing() -> Iterator[int]:
    """A descriptor that never has anything to read."""
    reading, writing = os.pipe()
    yield reading
    os.close(reading)
    os.close(writing)


@pytest.fixture(scope="module")
def examiners(packages: Path) -> Iterator[Examiners]:
    with Examiners(isolation(plug_ins=["trap"], seconds=3.0), TERMS, 2) as examiners:
        yield examiners


def _all_answers(
    examiners: Examiners, sources: list[RecordingBytes], beside: int
) -> dict[int, Answer]:
    """Give everything as there is room; every ticket is answered exactly once."""
    waiting, answers = list(enumerate(sources)), {}
    until = time.monotonic() + 120
    while waiting or len(answers) < len(sources):
        assert time.monotonic() < until
        while waiting and examiners.room > 0:
            examiners.give(*waiting.pop(0))
        for ticket, answer in examiners.answers(0.5, beside):
            assert ticket not in answers
            answers[ticket] = answer
    assert examiners.answers(0.0, beside) == []
    return answers


def test_traps_in_a_line_are_blamed_and_nothing_beside_them(
    examiners: Examiners, nothing: int
) -> None:
    traps = {
        5: ("segfault", R.READER_CRASHED),
        6: ("nibble", R.READER_MEMORY),
        14: ("hang", R.READER_TIMEOUT),
        15: ("stumble", R.READER_CRASHED),
    }
    sources = [ECGS[n % len(ECGS)] for n in range(30)]
    for n, (order, _) in traps.items():
        sources[n] = _order(order)

    answers = _all_answers(examiners, sources, nothing)

    here = [_here(source) for source in ECGS]
    for n, answer in answers.items():
        if n in traps:
            assert type(answer) is InputFault
            assert answer.reason is traps[n][1]
        else:
            _assert_same(answer, here[n % len(ECGS)])


def test_recording_is_not_blamed_for_the_one_before_it_in_the_line(
    examiners: Examiners, nothing: int
) -> None:
    sources = [_order("count"), *[_order("second_only")] * 2, *ECGS]
    answers = _all_answers(examiners, sources, nothing)
    refused = [answers[n] for n in range(3)]
    assert {one.refused for one in refused if isinstance(one, Examined)} == {R.LEAD_MISSING}
    assert all(isinstance(answer, Examined) for answer in answers.values())


def test_faults_of_readers_and_refusals_of_gates_come_through(
    examiners: Examiners, nothing: int
) -> None:
    loud = (
        "odd recording(signal=np.tile([1.7e308, -1.7e308, -1.7e308], (12, 2000)), lead_names=LEADS)"
    )
    sources = [
        RecordingBytes((Member("a", b"junk"),)),
        RecordingBytes((Member("a", ECGS[0].first.replace(b"Rhythm", b"Median")),)),
        _order(loud),
        _order("odd recording(lead_names=('II', 'I'))"),
    ]
    answers = _all_answers(examiners, sources, nothing)
    unknown, median, overflown, unordered = (answers[n] for n in range(4))
    assert isinstance(unknown, InputFault)
    assert unknown.reason is R.FORMAT_UNKNOWN
    assert isinstance(median, Refusal)
    assert median.reason is R.NO_RHYTHM_WAVEFORM
    assert isinstance(overflown, Examined)
    assert overflown.prepared is None
    assert np.inf in {finding.value for finding in overflown.findings}
    assert isinstance(unordered, InputFault)
    assert unordered.reason is R.READER_CRASHED


def test_forgotten_recordings_are_answered_to_nobody(examiners: Examiners, nothing: int) -> None:
    room = examiners.room
    for ticket in range(room):
        examiners.give(ticket, _order("hang") if ticket == 3 else ECGS[0])
    examiners.answers(0.0, nothing)
    examiners.forget()
    _assert_same(examiners.examine(ECGS[1], TERMS), _here(ECGS[1]))

    answers = _all_answers(examiners, [ECGS[2]], nothing)

    _assert_same(answers[0], _here(ECGS[2]))
    until = time.monotonic() + 30
    while examiners.room < room and time.monotonic() < until:
        assert examiners.answers(0.5, nothing) == []
    assert examiners.room == room


def test_answers_waits_for_nothing_once_the_descriptor_beside_it_speaks(
    examiners: Examiners,
) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"x")
    started = time.monotonic()
    assert examiners.answers(60.0, reading) == []
    assert time.monotonic() - started < 30.0
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize("has_slots", [True, False])
def test_large_and_small_pass_with_shared_memory_and_without(
    packages: Path, monkeypatch: pytest.MonkeyPatch, *, has_slots: bool
) -> None:
    if not has_slots:
        monkeypatch.setattr(Slots, "create", lambda _: None)
    other = Terms(SETTINGS.quality, SETTINGS.eligibility, preset("ecgfounder"))
    with Decoder(isolation(plug_ins=["trap"])) as decoder:
        for source in (ECGS[0], LARGE):
            for terms in (TERMS, other):
                _assert_same(decoder.examine(source, terms), _here(source, terms))
        long = decoder.decode(_order("odd recording(signal=np.arange(400000.0).reshape(2, -1))"))
    assert np.array_equal(long.signal.ravel(), np.arange(400000.0))


def test_terms_are_those_of_each_request(examiners: Examiners) -> None:
    low = SETTINGS.quality.amplitude.model_copy(update={"limit": 0.01})
    quality = SETTINGS.quality.model_copy(update={"amplitude": low})
    strict = Terms(quality, SETTINGS.eligibility, preset("anyecg-ccta"))
    for terms in (TERMS, strict, TERMS):
        _assert_same(examiners.examine(ECGS[0], terms), _here(ECGS[0], terms))
    assert _here(ECGS[0], strict).findings != _here(ECGS[0], TERMS).findings


def test_terms_that_came_with_an_unreadable_file_hold_for_the_next_one() -> None:
    other = Terms(SETTINGS.quality, SETTINGS.eligibility, preset("ecgfounder"))
    with Decoder(isolation()) as decoder:
        decoder.examine(ECGS[0], TERMS)
        with pytest.raises(InputFault):
            decoder.examine(RecordingBytes((Member("a", b"junk"),)), other)
        _assert_same(decoder.examine(ECGS[0], other), _here(ECGS[0], other))


def test_slots_cannot_be_cut_by_the_other_side() -> None:
    made = Slots.create(1)
    if made is None:
        pytest.skip("no memory to share on this system")
    slots, descriptor = made
    for size in (0, 2 * SLOT_BYTES):
        with pytest.raises(PermissionError):
            os.ftruncate(descriptor, size)
    os.close(descriptor)
    slots.close()


def test_nothing_is_left_open_after_the_block() -> None:
    before = sorted(Path("/proc/self/fd").iterdir())
    with Examiners(isolation(), TERMS, 2) as examiners:
        examiners.wait_until_ready()
        examiners.give(1, LARGE)
        examiners.give(2, ECGS[0])
        processes = examiners.process_ids
        assert len(processes) == 2
    assert sorted(Path("/proc/self/fd").iterdir()) == before
    assert not any(map(is_running, processes))


RUN = """
import sys, time
from ecgbatch.examination import Terms
from ecgbatch.isolation.examiners import Examiners
from ecgbatch.preprocessing.spec import preset
from ecgbatch.settings import load_settings
settings = load_settings(environment={})
terms = Terms(settings.quality, settings.eligibility, preset("anyecg-ccta"))
with Examiners(settings.isolation, terms, 2) as examiners:
    examiners.wait_until_ready()
    print(*examiners.process_ids, flush=True)
    time.sleep(60)
"""


def test_processes_end_with_a_run_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", RUN], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        processes = [int(one) for one in run.stdout.readline().split()]
        assert len(processes) == 2
        assert all(map(is_running, processes))
        run.kill()
    until = time.monotonic() + 10
    while any(map(is_running, processes)) and time.monotonic() < until:
        time.sleep(0.01)
    assert not any(map(is_running, processes))


def test_process_that_examines_holds_no_secret_no_settings_and_no_net(examiners: Examiners) -> None:
    examiners.examine(ECGS[0], TERMS)
    core, environment, modules = examiners.decode(_order("limits")).statements
    assert core == "(0, 0)"
    assert "ECGBATCH" not in environment
    assert modules == "[]"


def test_fault_of_the_only_recording_is_raised_by_examine(examiners: Examiners) -> None:
    with pytest.raises(EcgbatchError) as caught:
        examiners.examine(_order("stumble"), TERMS)
    assert caught.value.reason is R.READER_CRASHED
