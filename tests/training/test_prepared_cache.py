"""The cache of prepared arrays: torn, damaged, shared."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from ecgbatch.errors import SetupFault
from ecgbatch.terms import ReasonCode
from training.data.cache import RECORD_BYTES, Cache
from training.data.reading import Prepared, Reading

RULES = "rules"


def pair(number: int) -> tuple[Reading, Prepared]:
    draws = np.random.default_rng(number)
    signal = draws.standard_normal((12, 5000)).astype(np.float32)
    return Reading(f"{number:064d}", signal_digest=f"{number:064d}"), signal


def key(number: int) -> str:
    return f"{number:064d}"


def only(folder: Path, name: str) -> Path:
    (found,) = folder.glob(f"*/{name}")
    return found


def taken(cache: Cache, *numbers: int) -> bool:
    """Whether the arrays of these come back to the bit."""
    inputs = cache.inputs([key(number) for number in numbers])
    found = inputs.take(np.arange(len(numbers)))
    return all(np.array_equal(found[at], pair(n)[1]) for at, n in enumerate(numbers))


def test_what_was_added_is_found_by_another_process(tmp_path: Path) -> None:
    Cache(tmp_path, RULES).add([pair(1), (Reading(key(2), ReasonCode.LEAD_FLAT), None), pair(3)])
    again = Cache(tmp_path, RULES)
    assert taken(again, 3, 1)
    refused = again.find(key(2))
    assert refused is not None
    assert refused.reading.reason is ReasonCode.LEAD_FLAT
    assert Cache(tmp_path, "other rules").find(key(1)) is None


def test_two_that_write_at_once_keep_each_others_records(tmp_path: Path) -> None:
    one, other = Cache(tmp_path, RULES), Cache(tmp_path, RULES)
    one.add([pair(1), pair(2)])
    other.add([pair(2), pair(3)])
    one.add([pair(4)])
    assert taken(one, 1, 2, 3, 4)
    assert taken(other, 1, 2, 3)
    assert only(tmp_path, "arrays.f32").stat().st_size == 4 * RECORD_BYTES


@pytest.mark.parametrize("n_bytes", [1, 40])
def test_a_torn_line_and_a_torn_record_are_as_if_they_were_not_there(
    tmp_path: Path, n_bytes: int
) -> None:
    Cache(tmp_path, RULES).add([pair(1), pair(2)])
    index, arrays = only(tmp_path, "index"), only(tmp_path, "arrays.f32")
    index.write_bytes(index.read_bytes()[:-n_bytes])
    with arrays.open("ab") as opened:
        opened.write(b"torn")
    again = Cache(tmp_path, RULES)
    assert again.find(key(2)) is None
    again.add([pair(2), pair(3)])
    assert taken(again, 1, 2, 3)
    assert taken(Cache(tmp_path, RULES), 1, 2, 3)


def test_a_damaged_record_is_never_used_and_is_made_again(tmp_path: Path) -> None:
    cache = Cache(tmp_path, RULES)
    cache.add([pair(1), pair(2)])
    inputs = cache.inputs([key(1), key(2)])
    with only(tmp_path, "arrays.f32").open("r+b") as opened:
        opened.seek(RECORD_BYTES + 1000)
        opened.write(b"\xff")
    assert len(inputs.take(np.array([0]))) == 1
    with pytest.raises(SetupFault) as refused:
        inputs.take(np.array([1]))
    assert refused.value.reason is ReasonCode.RUN_FOLDER_UNFIT
    assert cache.find(key(2)) is None
    cache.add([pair(2)])
    assert taken(cache, 1, 2)


def test_a_damaged_line_costs_its_ecg_alone(tmp_path: Path) -> None:
    Cache(tmp_path, RULES).add([pair(1), pair(2), pair(3)])
    index = only(tmp_path, "index")
    lines = index.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b'"place": 1', b'"place": 0')
    index.write_bytes(b"".join(lines))
    again = Cache(tmp_path, RULES)
    assert [again.find(key(n)) is None for n in (1, 2, 3)] == [False, True, False]


def test_a_lost_reader_process_is_asked_again_the_next_time(tmp_path: Path) -> None:
    cache = Cache(tmp_path, RULES)
    cache.add([(Reading(key(1), ReasonCode.READER_TIMEOUT), None)])
    assert cache.find(key(1)) is None


def test_a_cache_cut_short_is_refused(tmp_path: Path) -> None:
    cache = Cache(tmp_path, RULES)
    cache.add([pair(1), pair(2)])
    arrays = only(tmp_path, "arrays.f32")
    arrays.write_bytes(arrays.read_bytes()[:RECORD_BYTES])
    with pytest.raises(SetupFault):
        Cache(tmp_path, RULES).inputs([key(2)])
    with pytest.raises(SetupFault):
        cache.inputs([key(3)])


def test_another_process_maps_the_file_itself(tmp_path: Path) -> None:
    cache = Cache(tmp_path, RULES)
    cache.add([pair(1), pair(2)])
    inputs = cache.inputs([key(2)])
    sent = pickle.dumps(inputs)
    assert len(sent) < 2000
    np.testing.assert_array_equal(pickle.loads(sent).take(np.array([0]))[0], pair(2)[1])  # noqa: S301 - our own


def test_the_key_of_the_marks_is_for_its_owner_alone(tmp_path: Path) -> None:
    cache = Cache(tmp_path, RULES)
    assert (tmp_path / "key").stat().st_mode & 0o077 == 0
    (tmp_path / "key").unlink()
    assert Cache(tmp_path, RULES).secret != cache.secret
