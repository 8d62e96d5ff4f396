"""The compiled filters against scipy, to the bit, and what keeps them out of the way."""

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import signal as scipy_signal

from ecgbatch.preprocessing import compiled, design, filters
from ecgbatch.preprocessing.apply import prepare, to_input
from ecgbatch.preprocessing.spec import preset
from ecgbatch.preprocessing.steady_state import steady_state
from tests.support.bundles import VECTORS
from tests.support.real_ecgs import real_ecgs

Array = NDArray[np.float64]
ECGFOUNDER = preset("ecgfounder")
needs_numba = pytest.mark.skipif(find_spec("numba") is None, reason="numba is not installed")
HUGE = 1e6
DENORMAL = 5e-324


@pytest.fixture(scope="module")
def code() -> Path:
    """The file with the compiled filters in this user's cache; the first that asks makes it."""
    path = filters.warm()
    assert path is not None
    return path


@pytest.fixture(scope="module")
def fast(code: Path) -> compiled.CompiledFilters:
    kept = compiled.kept_code(code)
    assert kept is not None
    return compiled.CompiledFilters(kept)


@pytest.fixture
def choice() -> Iterator[None]:
    """Whatever a test chooses, the next test finds what was."""
    before = filters._Choice.place, filters._Choice.made
    yield
    filters._Choice.place, filters._Choice.made = before


def _prepared(signal: Array, frequency: float, path: Path | None) -> Array:
    filters.use(path)
    prepared, _ = prepare(signal, frequency, ECGFOUNDER.steps)
    assert filters.which() == ("numba" if path else "scipy")
    return prepared


@needs_numba
@pytest.mark.usefixtures("choice")
def test_both_ways_meet_the_reference_vectors_to_the_bit(code: Path) -> None:
    with np.load(VECTORS / "preprocessing.npz", allow_pickle=False) as opened:
        signal, expected = opened["input_mv"], opened["ecgfounder"]
        before_scoring = opened["filtered"]
    for path in (code, None):
        assert _prepared(signal, 500.0, path).tobytes() == expected.tobytes()
        filtered, _ = prepare(signal, 500.0, ECGFOUNDER.steps[:-1])
        assert np.array_equal(filtered, before_scoring)


@needs_numba
@pytest.mark.usefixtures("choice")
def test_both_ways_agree_to_the_bit_on_every_real_ecg(code: Path) -> None:
    ecgs = real_ecgs()
    assert len(ecgs) > 10
    for name, ecg in ecgs.items():
        one, two = (
            _prepared(ecg.signal, ecg.sampling_frequency, path).tobytes() for path in (code, None)
        )
        assert one == two, name


@st.composite
def _signals(draw: st.DrawFn) -> Array:
    """Three leads: drifting or noisy, in steps, constant, spiked, tiny or huge."""
    n, seed = draw(st.integers(60, 700)), draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    leads = []
    for _ in range(3):
        lead = random.normal(size=n)
        if draw(st.booleans()):
            lead = lead.cumsum() / 20
        if draw(st.booleans()):
            lead = np.round(lead, draw(st.integers(0, 2)))
        if draw(st.booleans()):
            lead[random.integers(0, n, 5)] = draw(st.sampled_from([HUGE, -HUGE, 0.0, -0.0]))
        leads.append(lead * draw(st.sampled_from([1.0, 0.0, -0.0, HUGE, 1e-310, DENORMAL])))
    return np.stack(leads)


STEPS = np.tile([1.0, -0.0, 0.0, -1.0, 1.0 + 2**-52], (3, 60))
SHARED_START = 1.0 + np.arange(900).reshape(3, 300)[:, ::-1] * 2.0**-50
"""Samples that differ in their last bits alone, which the first sorting does not see."""


@needs_numba
@settings(max_examples=60, deadline=None)
@given(signal=_signals(), half=st.integers(0, 120))
@example(signal=STEPS, half=3)
@example(signal=SHARED_START, half=40)
@example(signal=STEPS, half=400)
def test_running_median_is_scipys_to_the_bit(
    fast: compiled.CompiledFilters, signal: Array, half: int
) -> None:
    n_window = 2 * half + 1
    # medfilt itself: neither ours nor what the fallback calls. A negative zero is no other number.
    median = np.stack([_medfilt(lead, n_window) for lead in signal]) + 0.0
    for way in (fast, filters._scipy()):
        assert way.subtract_median(signal, n_window).tobytes() == (signal - median).tobytes()


def _medfilt(lead: Array, n_window: int) -> Array:
    """By scipy; with the zeros that it pads anyway, lest it warn of a window beyond the lead."""
    n_pad = max(0, n_window - lead.size)
    median: Array = scipy_signal.medfilt(np.pad(lead, n_pad), n_window)
    return median[n_pad : n_pad + lead.size]


@needs_numba
@settings(max_examples=60, deadline=None)
@given(signal=_signals(), order=st.integers(1, 8), by_time=st.booleans())
def test_zero_phase_filter_is_scipys_to_the_bit(
    fast: compiled.CompiledFilters, signal: Array, order: int, by_time: bool
) -> None:
    given_as = np.asfortranarray(signal) if by_time else signal
    for designed in (design.notch(50.0, 30.0), design.bandpass(order, 0.67, 40.0)):
        assert np.array_equal(
            fast.zero_phase(designed, given_as), filters._scipy().zero_phase(designed, signal)
        )


@needs_numba
def test_what_the_compiled_filters_cannot_take_is_refused(fast: compiled.CompiledFilters) -> None:
    notch = design.notch(50.0, 30.0)
    with pytest.raises(ValueError, match="its reflection"):
        fast.zero_phase(notch, np.zeros((12, notch.n_edge)))
    for n, n_window in ((0, 3), (100, 4), (16_000, 401)):
        with pytest.raises(ValueError, match="odd window"):
            fast.subtract_median(np.zeros((12, n)), n_window)


@settings(max_examples=80, deadline=None)
@given(
    order=st.integers(1, 8),
    low=st.floats(0.05, 200),
    width=st.floats(0.5, 45),
    quality=st.floats(0.5, 100),
)
@example(order=4, low=0.67, width=39.33, quality=30.0)
def test_coefficients_are_scipys_to_the_bit(
    order: int, low: float, width: float, quality: float
) -> None:
    bandpass = design.bandpass(order, low, low + width)
    b, a = scipy_signal.butter(order, (low, low + width), "bandpass", fs=500.0)
    assert (bandpass.b.tobytes(), bandpass.a.tobytes()) == (b.tobytes(), a.tobytes())
    assert np.array_equal(bandpass.steady, steady_state(b, a))
    notch = design.notch(low, quality)
    b, a = scipy_signal.iirnotch(low, quality, fs=500.0)
    assert (notch.b.tobytes(), notch.a.tobytes()) == (b.tobytes(), a.tobytes())


def _in_a_process(script: str, *arguments: str) -> str:
    """What a script prints in a process like the reader's: no home, no variable, no folder."""
    finished = subprocess.run(
        [sys.executable, "-P", "-B", "-c", script, *arguments],
        cwd="/",
        env={"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.strip()


def test_a_preparation_without_filters_loads_none() -> None:
    script = """
import sys
import numpy as np
from ecgbatch.preprocessing.apply import to_input
from ecgbatch.preprocessing.spec import preset
to_input(np.ones((12, 6000)), 500.0, preset("anyecg-ccta"))
heavy = {"scipy.signal", "scipy.ndimage", "numba", "llvmlite"}
print(sorted(heavy & sys.modules.keys()))
"""
    assert _in_a_process(script) == "[]"


IN_THE_READERS_LIMITS = """
import sys
from hashlib import sha256
from pathlib import Path
import numpy as np
from ecgbatch.isolation.child import _limit
from ecgbatch.preprocessing import filters
from ecgbatch.preprocessing.apply import to_input
from ecgbatch.preprocessing.spec import preset
signal = np.load(sys.argv[1])["input_mv"]
filters.use(Path(sys.argv[2]))
_limit(1 << 30)
prepared = to_input(signal, 500.0, preset("ecgfounder")).signal
heavy = {"scipy.signal", "numba"} & sys.modules.keys()
print(filters.which(), sha256(prepared.tobytes()).hexdigest(), len(heavy))
"""


@needs_numba
@pytest.mark.usefixtures("choice")
def test_in_the_limits_of_the_reader_process_nothing_is_compiled(
    code: Path, tmp_path: Path
) -> None:
    """1 GiB of address space, no byte written, no home; a broken file is scipy's case."""
    vectors = VECTORS / "preprocessing.npz"
    broken = tmp_path / code.name
    broken.write_bytes(code.read_bytes()[:-1])
    answers = [_in_a_process(IN_THE_READERS_LIMITS, str(vectors), str(p)) for p in (code, broken)]
    numba, scipy = (answer.split() for answer in answers)
    assert (numba[0], numba[2], scipy[0]) == ("numba", "0", "scipy")
    filters.use(None)
    with np.load(vectors, allow_pickle=False) as opened:
        here = to_input(opened["input_mv"], 500.0, ECGFOUNDER).signal
    assert numba[1] == scipy[1] == compiled.sha256(here.tobytes()).hexdigest()


@needs_numba
@pytest.mark.usefixtures("choice")
def test_a_broken_cache_is_made_anew_once(
    code: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    built: list[Path] = []

    def build(path: Path) -> None:  # in place of seconds of compiling, which `code` took already
        built.append(path)
        path.write_bytes(code.read_bytes())

    monkeypatch.setattr(filters, "_build", build)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    place = compiled.place()
    place.write_bytes(code.read_bytes()[:-1])
    place.chmod(0o600)
    filters._Choice.place, filters._Choice.made = filters._place, None
    assert filters.which() == "scipy"
    assert filters.warm() == filters.warm() == place
    assert filters.which() == "numba"
    assert built == [place]


@needs_numba
def test_a_build_that_fails_leaves_scipy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(filters, "_BUILD_S", 0.01)
    assert filters.warm() is None
    assert list(compiled.place().parent.iterdir()) == []


def test_what_somebody_else_may_write_is_not_run(tmp_path: Path) -> None:
    whole = tmp_path / "whole.code"
    whole.write_bytes(compiled.sealed(b"code"))
    whole.chmod(0o600)
    assert compiled.kept_code(whole) == b"code"
    link = tmp_path / "link.code"
    link.symlink_to(whole)
    assert compiled.kept_code(link) is None
    assert compiled.kept_code(tmp_path) is None
    assert compiled.kept_code(tmp_path / "none.code") is None
    whole.chmod(0o620)
    assert compiled.kept_code(whole) is None


@needs_numba
@pytest.mark.usefixtures("choice")
def test_whole_but_no_code_is_scipys_case(tmp_path: Path) -> None:
    path = tmp_path / "other.code"
    path.write_bytes(compiled.sealed(b"\x7fELF, and nothing more"))
    path.chmod(0o600)
    filters.use(path)
    assert filters.filters().name == filters.which() == "scipy"


@pytest.mark.usefixtures("choice")
@pytest.mark.parametrize("missing", ["cache", "numba"])
def test_without_a_cache_or_numba_scipy_filters(
    missing: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if missing == "cache":
        (tmp_path / "file").touch()
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    else:
        monkeypatch.setattr(compiled, "version", _no_such_package)
    filters._Choice.place, filters._Choice.made = filters._place, None
    assert filters.warm() is None
    assert filters.which() == "scipy"
    assert filters.filters().name == "scipy"


def _no_such_package(name: str) -> str:
    raise PackageNotFoundError(name)


@needs_numba
def test_code_that_is_a_digit_off_is_not_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from ecgbatch.preprocessing import build  # noqa: PLC0415 - imports numba

    class ADigitOff(build.ScipyFilters):
        def __init__(self, code: bytes = b"") -> None:
            pass

        def zero_phase(self, designed: design.Filter, signal: Array) -> Array:
            filtered = super().zero_phase(designed, signal)
            filtered[0, 7] = np.nextafter(filtered[0, 7], 1e9)
            return filtered

    assert build.agrees(build.ScipyFilters())
    monkeypatch.setattr(build, "machine_code", lambda: b"code")
    monkeypatch.setattr(build, "CompiledFilters", ADigitOff)
    with pytest.raises(SystemExit):
        build.main(tmp_path / "filters.code")
    assert list(tmp_path.iterdir()) == []
