"""What the benchmarks compare: their recordings, the published way, the figures on the page."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wfdb

from benchmarks import kept, published, scale, shares
from benchmarks.files import recording, write_files
from ecgbatch.preprocessing.apply import to_input
from ecgbatch.preprocessing.spec import preset
from ecgbatch.quality.checks import check, refusal
from ecgbatch.readers import muse
from ecgbatch.readers import wfdb as wfdb_reader
from ecgbatch.records import Member, Recording, RecordingBytes
from ecgbatch.settings import load_settings


def _read(number: int) -> tuple[Recording, str]:
    files = recording(number, "muse" if number % 2 else "wfdb")
    members = tuple(Member(name, content) for name, content in reversed(files.items()))
    source = RecordingBytes(members)
    return (muse if number % 2 else wfdb_reader).read(source), source.file_digest


def test_every_recording_is_one_of_its_own_and_fit() -> None:
    numbers = (0, 1, 2, 3, 32, 33)  # 32 is the same heart as 0
    read = [_read(number) for number in numbers]
    for values in (
        {digest for _, digest in read},
        {one.signal_digest for one, _ in read},
        {one.identity.patient_identifier for one, _ in read},
        {one.identity.acquired_at for one, _ in read},
    ):
        assert len(values) == len(numbers)
    settings = load_settings(environment={})
    for one, _ in read:
        assert one.signal.shape == (12, 5000)
        assert refusal(check(one, settings.quality, settings.eligibility)) is None


def test_recordings_are_what_another_reader_says(tmp_path: Path) -> None:
    write_files(tmp_path, range(2))
    (header,), (export,) = tmp_path.rglob("*.hea"), tmp_path.rglob("*.xml")
    theirs = wfdb.rdrecord(str(header.with_suffix("")))
    np.testing.assert_array_equal(_read(0)[0].signal, theirs.p_signal.T)
    np.testing.assert_allclose(_read(1)[0].signal, published.from_muse(export), atol=1e-12)
    assert export.stat().st_size > 190_000


@pytest.mark.parametrize(
    ("name", "prepared"), [("ecgfounder", published.filtered), ("anyecg-ccta", published.scaled)]
)
def test_the_published_way_prepares_as_we_do(name: str, prepared: Any) -> None:
    signal = _read(0)[0].signal
    ours = to_input(signal, 500.0, preset(name)).signal
    # scipy's steady state of the 8th-order filter is rounded otherwise than ours.
    np.testing.assert_allclose(prepared(signal).astype(np.float32), ours, atol=1e-5)


def test_cpu_times_add_up_to_the_bound() -> None:
    assert shares.bound(2, net_core_ms=36.0, other_core_ms=4.0) == 50.0


def test_the_scale_page_shows_the_kept_figures() -> None:
    text = scale.PAGE.read_text(encoding="utf-8")
    assert scale.page(text, kept.last("memory"), kept.last("end_to_end")) == text
