"""One recording's crash, hang or memory bomb is that recording's fault alone."""

import os
import signal
import struct
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from conftest import is_running, isolation

from ecgbatch.errors import EcgbatchError, Incomplete, InputFault, Refusal, SetupFault
from ecgbatch.isolation.decoder import Decoder
from ecgbatch.isolation.here import decode_here
from ecgbatch.records import Member, Recording, RecordingBytes
from ecgbatch.resources import demonstration
from ecgbatch.terms import ReasonCode

R = ReasonCode
SAMPLES = demonstration("samples")
MUSE = RecordingBytes((Member("a", (SAMPLES / "muse" / "synthetic_muse.xml").read_bytes()),))
WFDB = RecordingBytes(
    tuple(Member(n, (SAMPLES / "wfdb" / n).read_bytes()) for n in ("E07500.hea", "E07500.mat"))
)


def _order(text: str) -> RecordingBytes:
    return RecordingBytes((Member("a.trap", f"TRAP {text}".encode()),))


def _fault(decoder: Decoder, text: str) -> EcgbatchError:
    with pytest.raises(EcgbatchError) as caught:
        decoder.decode(_order(text))
    assert caught.value.__cause__ is None
    return caught.value


@pytest.mark.parametrize("source", [MUSE, WFDB])
def test_recording_is_the_same_through_the_process_in_every_field(
    plain: Decoder, source: RecordingBytes
) -> None:
    mine, theirs = plain.decode(source), decode_here(source)
    for field in fields(Recording):
        if field.name != "signal":
            assert getattr(mine, field.name) == getattr(theirs, field.name), field.name
    assert np.array_equal(mine.signal, theirs.signal)
    assert mine.signal.dtype == np.float64
    assert not mine.signal.flags.writeable


def test_invalid_samples_stay_not_a_number_through_the_process(trap: Decoder) -> None:
    recording = trap.decode(_order("odd recording(signal=np.array([[np.nan, 1.0], [2.0, -3.0]]))"))
    assert np.array_equal(recording.signal, [[np.nan, 1.0], [2.0, -3.0]], equal_nan=True)


@pytest.mark.parametrize(
    ("content", "error", "reason"),
    [
        (b"", Incomplete, R.INCOMPLETE),
        (MUSE.first[:3000], Incomplete, R.INCOMPLETE),
        (MUSE.first.replace(b"Rhythm", b"Median"), Refusal, R.NO_RHYTHM_WAVEFORM),
        (b"junk", InputFault, R.FORMAT_UNKNOWN),
    ],
)
def test_errors_keep_class_and_reason_through_the_process(
    plain: Decoder, content: bytes, error: type[EcgbatchError], reason: ReasonCode
) -> None:
    with pytest.raises(EcgbatchError) as caught:
        plain.decode(RecordingBytes((Member("a", content),)))
    assert isinstance(caught.value, error)
    assert caught.value.reason is reason


@pytest.mark.parametrize(
    ("order", "reason", "detail"),
    [
        ("segfault", R.READER_CRASHED, f"signal {signal.SIGSEGV}"),
        ("leave", R.READER_CRASHED, "exit 7"),
        ("raise_system_exit", R.READER_CRASHED, "exit 3"),
        ("hang", R.READER_TIMEOUT, ""),
        ("swallow", R.READER_MEMORY, ""),
        ("nibble", R.READER_MEMORY, ""),
        ("loop", R.READER_CRASHED, ""),
        ("stumble MILLER^ANNA", R.READER_CRASHED, ""),
    ],
)
def test_lost_recording_has_a_reason_and_the_next_one_is_read(
    trap: Decoder, order: str, reason: ReasonCode, detail: str
) -> None:
    fault = _fault(trap, order)
    assert type(fault) is InputFault
    assert (fault.reason, fault.detail) == (reason, detail)
    assert trap.decode(MUSE).n_samples == 5000


def test_hanging_reader_is_stopped_in_time_and_replaced_within_a_second(trap: Decoder) -> None:
    trap.wait_until_ready()
    before = trap.process_id
    started = time.monotonic()
    assert _fault(trap, "spin").reason is R.READER_TIMEOUT
    assert 1.5 <= time.monotonic() - started < 2.5
    assert before is not None
    assert not is_running(before)
    started = time.monotonic()
    trap.decode(MUSE)
    assert time.monotonic() - started < 5.0
    assert trap.process_id != before


def test_recording_is_not_blamed_for_what_an_earlier_one_left_behind(trap: Decoder) -> None:
    trap.decode(_order("count"))
    assert trap.decode(_order("second_only")).reader == "trap"


def test_process_is_kept_from_one_recording_to_the_next(trap: Decoder) -> None:
    first, second = (int(trap.decode(_order("count")).statements[0]) for _ in range(2))
    assert second == first + 1
    _fault(trap, "stumble")
    assert trap.decode(_order("count")).statements == (str(first + 3),)


def test_what_a_reader_prints_goes_nowhere(
    trap: Decoder, capfd: pytest.CaptureFixture[str]
) -> None:
    assert trap.decode(_order("talk")).lead_names == ("I", "II")
    assert capfd.readouterr() == ("", "")


def test_reader_can_write_no_file_and_open_few(trap: Decoder, tmp_path: Path) -> None:
    assert _fault(trap, f"write {tmp_path / 'written'}").reason is R.READER_CRASHED
    assert (tmp_path / "written").read_bytes() == b""
    assert trap.decode(_order("open_files 20")).statements == ("20",)
    assert _fault(trap, "open_files 100").reason is R.READER_CRASHED


def test_process_holds_no_secret_no_net_and_no_database(trap: Decoder) -> None:
    core, environment, modules = trap.decode(_order("limits")).statements
    assert core == "(0, 0)"
    assert not [name for name in eval(environment) if name.startswith(("ECGBATCH", "PG"))]  # noqa: S307
    assert modules == "[]"


def test_error_text_of_a_reader_is_cut_to_printable_ascii(trap: Decoder) -> None:
    fault = _fault(trap, "refuse \x1b[2Jµ" + "x" * 500)
    assert fault.reason is R.LEAD_MISSING
    assert fault.detail == "?[2J?" + "x" * 195


@pytest.mark.parametrize(
    "returned",
    [
        "None",
        "recording(signal=np.zeros(5))",
        "recording(signal=np.zeros((3, 5)))",
        "recording(signal=np.zeros((2, 0)))",
        "recording(lead_names=('II', 'I'))",
        "recording(lead_names=('I', 'I'))",
        "recording(lead_names=('I', 'V7'))",
        "recording(sampling_frequency=float('nan'))",
        "recording(sampling_frequency='500')",
        "recording(sampling_frequency=0.0)",
        "recording(signal_digest='0')",
        "recording(reader='muse2')",
        "recording(reader_version='')",
        "recording(format='../x')",
        "recording(derived_leads=('V1',))",
        "recording(statement_normal='yes')",
        "recording(statements=('x' * 2_000_000,))",
        "recording(statements=(object(),))",
        "recording(findings=({'check': 'x', 'reason': 'no_such_reason'},))",
    ],
)
def test_answer_that_is_no_recording_is_not_believed(trap: Decoder, returned: str) -> None:
    fault = _fault(trap, f"odd {returned}")
    assert fault.reason is R.READER_CRASHED
    assert fault.detail in {"not an answer", "not a recording"}


def _frame(header: bytes, body_length: int = 0) -> bytes:
    return struct.pack(">IQ", len(header), body_length) + header


GOOD = b'{"kind":"fault","serial":1,"error":"Refusal","reason":"lead_missing","detail":"V1"}'


def test_forged_answer_is_taken_as_data_where_it_is_well_formed(new_trap: Decoder) -> None:
    """The control of the next test: the same road, with nothing wrong on it."""
    assert _fault(new_trap, f"forge ({_frame(GOOD)!r}, b'')").reason is R.LEAD_MISSING


@pytest.mark.parametrize(
    "frame",
    [
        _frame(GOOD.replace(b"1", b"2", 1)),
        _frame(GOOD.replace(b"Refusal", b"SetupFault")),
        _frame(GOOD.replace(b"lead_missing", b"no_such_reason")),
        _frame(GOOD.replace(b"V1", b"\\u001b[2J")),
        _frame(GOOD.replace(b'"V1"', b'"V1","more":1')),
        _frame(b'{"kind":"ready","readers":["x"]}'),
        _frame(b"cos\nsystem\n(S'true'\ntR."),
        _frame(b"["),
        struct.pack(">IQ", 0xFFFFFFFF, 0),
        struct.pack(">IQ", 2, 1 << 60) + b"{}",
    ],
)
def test_forged_answer_loses_the_process_and_nothing_else(new_trap: Decoder, frame: bytes) -> None:
    fault = _fault(new_trap, f"forge ({frame!r}, b'')")
    assert (fault.reason, fault.detail) == (R.READER_CRASHED, "not an answer")
    assert new_trap.decode(MUSE).n_samples == 5000


def test_answer_that_stops_in_the_middle_times_out(new_trap: Decoder) -> None:
    assert _fault(new_trap, f"forge ({_frame(GOOD)[:-5]!r}, b'')").reason is R.READER_TIMEOUT


def test_recording_of_the_largest_size_goes_through(plain: Decoder) -> None:
    source = RecordingBytes((Member("a", MUSE.first[:-20] + b" " * (31 << 20)),))
    with pytest.raises(Incomplete):
        plain.decode(source)


def test_killed_process_is_replaced_for_the_next_recording(trap: Decoder) -> None:
    trap.decode(MUSE)
    assert trap.process_id is not None
    os.kill(trap.process_id, signal.SIGKILL)
    assert trap.decode(MUSE).n_samples == 5000


@pytest.mark.parametrize("name", ["no_such", "wfdb_again", "broken", "no_reader"])
@pytest.mark.usefixtures("packages")
def test_plug_in_that_cannot_be_loaded_stops_the_start_by_name(name: str) -> None:
    with Decoder(isolation(plug_ins=[name])) as decoder, pytest.raises(SetupFault) as caught:
        decoder.wait_until_ready()
    assert caught.value.reason is R.SETTINGS_INVALID
    assert f"isolation.plug_ins: {name} " in caught.value.detail


@pytest.mark.usefixtures("packages")
def test_plug_in_that_no_setting_names_is_not_asked() -> None:
    with Decoder(isolation()) as decoder:
        assert _fault(decoder, "count").reason is R.FORMAT_UNKNOWN
    assert "trap_reader" not in sys.modules


def test_plug_in_is_loaded_in_the_process_alone(trap: Decoder) -> None:
    recording = trap.decode(_order("count"))
    assert (recording.reader, recording.reader_version) == ("trap", "1.0")
    assert "trap_reader" not in sys.modules


RUN = """
import sys, time
from ecgbatch.isolation.decoder import Decoder
from ecgbatch.settings import load_settings
with Decoder(load_settings(environment={}).isolation) as decoder:
    decoder.wait_until_ready()
    print(decoder.process_id, flush=True)
    time.sleep(60)
"""


def test_process_ends_with_a_run_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", RUN], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        process_id = int(run.stdout.readline())
        assert is_running(process_id)
        run.kill()
    until = time.monotonic() + 5
    while is_running(process_id) and time.monotonic() < until:
        time.sleep(0.01)
    assert not is_running(process_id)


def test_process_ends_with_the_block() -> None:
    with Decoder(isolation()) as decoder:
        decoder.wait_until_ready()
        process_id = decoder.process_id
    assert process_id is not None
    assert decoder.process_id is None
    assert not is_running(process_id)
