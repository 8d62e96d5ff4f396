"""A bundle that differs in anything from what was exported is refused."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgbatch.bundle.digest import bundle_digest, read_manifest, sums_of
from ecgbatch.bundle.load import load_bundle
from ecgbatch.bundle.save import npz_bytes
from ecgbatch.errors import SetupFault
from ecgbatch.terms import ReasonCode
from tests.support.bundles import save_small_bundle, small_weights

MEMBER = "weights/member-00.safetensors"
FILES = ("bundle.json", "golden.npz", "SHA256SUMS", MEMBER)


def _resum(folder: Path) -> None:
    """Make SHA256SUMS true again, as someone who edits a bundle would."""
    names = [p for p in folder.rglob("*") if p.is_file() and p.name != "SHA256SUMS"]
    contents = {p.relative_to(folder).as_posix(): p.read_bytes() for p in names}
    (folder / "SHA256SUMS").write_bytes(sums_of(contents))


def _refused(folder: Path, reason: ReasonCode) -> SetupFault:
    with pytest.raises(SetupFault) as fault:
        load_bundle(folder)
    assert fault.value.reason is reason
    assert str(folder) not in str(fault.value)
    return fault.value


def test_digest_is_that_of_sha256sum_and_equal_on_every_road(pristine: Path) -> None:
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=pristine, check=True)
    expected = sha256((pristine / "SHA256SUMS").read_bytes()).hexdigest()
    bundle = load_bundle(pristine, expected_digest=expected)
    assert bundle.digest == bundle_digest(pristine) == expected
    assert bundle.manifest == read_manifest(pristine)
    assert bundle.location == pristine


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", [0, 40, -1])
def test_one_changed_byte_is_refused(folder: Path, name: str, place: int) -> None:
    content = bytearray((folder / name).read_bytes())
    content[place] ^= 1
    (folder / name).write_bytes(content)
    for read in (load_bundle, bundle_digest):
        with pytest.raises(SetupFault) as fault:
            read(folder)
        assert fault.value.reason in {ReasonCode.BUNDLE_DIGEST, ReasonCode.BUNDLE_INVALID}


@pytest.mark.parametrize("name", FILES)
def test_one_cut_file_is_refused(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(SetupFault):
        load_bundle(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_refused(folder: Path, name: str) -> None:
    (folder / name).unlink()
    is_sums = name == "SHA256SUMS"
    _refused(folder, ReasonCode.BUNDLE_MISSING if is_sums else ReasonCode.BUNDLE_DIGEST)


@pytest.mark.parametrize("name", ["extra.txt", ".hidden", "weights/extra.safetensors"])
def test_an_unlisted_file_is_refused(folder: Path, name: str) -> None:
    (folder / name).write_text("x")
    _refused(folder, ReasonCode.BUNDLE_DIGEST)


@pytest.mark.parametrize("name", ["extra.txt", "weights/member-00.bin", "weights/x.pt"])
def test_a_listed_file_of_another_kind_is_refused(folder: Path, name: str) -> None:
    (folder / name).write_text("x")
    _resum(folder)
    _refused(folder, ReasonCode.BUNDLE_INVALID)


def _link_file(folder: Path) -> None:
    (folder / "golden.npz").rename(folder.parent / "elsewhere.npz")
    (folder / "golden.npz").symlink_to(folder.parent / "elsewhere.npz")


def _link_folder(folder: Path) -> None:
    (folder / "weights").rename(folder.parent / "elsewhere")
    (folder / "weights").symlink_to(folder.parent / "elsewhere")


def _deeper(folder: Path) -> None:
    (folder / "weights" / "deeper").mkdir()


def _pipe(folder: Path) -> None:
    os.mkfifo(folder / "pipe")


@pytest.mark.parametrize("change", [_link_file, _link_folder, _deeper, _pipe])
def test_links_pipes_and_deeper_folders_are_refused(
    folder: Path, change: Callable[[Path], None]
) -> None:
    change(folder)
    _refused(folder, ReasonCode.BUNDLE_INVALID)


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text.rstrip("\n"),
        lambda text: text.upper(),
        lambda text: "".join(reversed(text.splitlines(keepends=True))),
        lambda text: text.replace("golden.npz", "../golden.npz"),
        lambda text: text.replace("  ", " "),
        lambda text: text + text.splitlines(keepends=True)[0],
    ],
)
def test_sums_in_another_form_are_refused(folder: Path, edit: Callable[[str], str]) -> None:
    sums = folder / "SHA256SUMS"
    sums.write_text(edit(sums.read_text()))
    _refused(folder, ReasonCode.BUNDLE_INVALID)


def test_no_folder_and_a_file_in_its_place_are_missing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for folder in (tmp_path / "none", tmp_path / "file", tmp_path):
        _refused(folder, ReasonCode.BUNDLE_MISSING)


def test_another_digest_than_expected_is_refused_even_if_consistent(folder: Path) -> None:
    with pytest.raises(SetupFault) as fault:
        load_bundle(folder, expected_digest="0" * 64)
    assert fault.value.reason is ReasonCode.BUNDLE_DIGEST


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"dense.bias": torch.full((4,), torch.nan)}, ReasonCode.CHECKPOINT_INVALID),
        ({"first_conv.conv.bias": torch.zeros(8)}, ReasonCode.CHECKPOINT_INVALID),
        ({"surprise": torch.zeros(1)}, ReasonCode.CHECKPOINT_INVALID),
    ],
)
def test_weights_that_are_not_the_architectures_are_refused(
    folder: Path, change: dict[str, torch.Tensor], reason: ReasonCode
) -> None:
    (folder / MEMBER).write_bytes(safetensors.torch.save(small_weights() | change))
    _resum(folder)
    fault = _refused(folder, reason)
    assert next(iter(change)) in fault.detail


def test_untrained_batch_norm_under_use_bn_is_refused(folder: Path) -> None:
    (folder / MEMBER).write_bytes(safetensors.torch.save(small_weights(use_bn=False)))
    _resum(folder)
    _refused(folder, ReasonCode.USE_BN_CONTRADICTED)


@pytest.mark.parametrize("content", [b"", b"x" * 100, (1 << 62).to_bytes(8, "little") + b"{}"])
def test_weights_that_are_no_safetensors_are_refused(folder: Path, content: bytes) -> None:
    (folder / MEMBER).write_bytes(content)
    _resum(folder)
    _refused(folder, ReasonCode.BUNDLE_INVALID)


_SIGNALS = np.zeros((2, 12, 5000), dtype=np.float32)
_LOGITS = np.zeros((2, 4))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04 no archive",
        npz_bytes({"signal_mv": _SIGNALS}),
        npz_bytes({"signal_mv": _SIGNALS, "logits": _LOGITS, "more": _LOGITS}),
        npz_bytes({"signal_mv": _SIGNALS, "logits": _LOGITS[:1]}),
        npz_bytes({"signal_mv": _SIGNALS, "logits": _LOGITS * np.nan}),
        npz_bytes({"signal_mv": _SIGNALS.astype(np.float64), "logits": _LOGITS}),
        npz_bytes({"signal_mv": _SIGNALS + np.float32(np.inf), "logits": _LOGITS}),
        npz_bytes({"signal_mv": _SIGNALS[:0], "logits": _LOGITS[:0]}),
        npz_bytes({"signal_mv": _SIGNALS[:, :8], "logits": _LOGITS}),
        npz_bytes({"signal_mv": np.array([{"a": 1}], dtype=object), "logits": _LOGITS}),
    ],
)
def test_golden_arrays_of_another_kind_are_refused(folder: Path, content: bytes) -> None:
    (folder / "golden.npz").write_bytes(content)
    _resum(folder)
    _refused(folder, ReasonCode.BUNDLE_INVALID)


def test_a_loaded_bundle_does_not_follow_its_files(folder: Path) -> None:
    bundle = load_bundle(folder)
    before = {name: tensor.clone() for name, tensor in bundle.members[0].items()}
    with (folder / MEMBER).open("r+b") as opened:
        opened.seek(5000)
        opened.write(b"\x00" * 40_000)
        opened.truncate(50_000)
    assert all(torch.equal(before[name], bundle.members[0][name]) for name in before)


def test_the_cheap_road_reads_no_torch(pristine: Path) -> None:
    code = (
        "import sys; from pathlib import Path; import ecgbatch.strata;"
        "from ecgbatch.bundle.digest import bundle_digest, read_manifest;"
        f"read_manifest(Path({str(pristine)!r}));"
        f"sys.stdout.write(bundle_digest(Path({str(pristine)!r})));"
        "sys.exit('torch' in sys.modules or 'scipy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == bundle_digest(pristine)


def test_the_same_bundle_saved_twice_has_the_same_bytes(pristine: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    assert save_small_bundle(again) == bundle_digest(pristine)
    for name in FILES:
        assert (again / name).read_bytes() == (pristine / name).read_bytes()


def test_saving_replaces_an_older_bundle_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    digest = save_small_bundle(folder, version="2")
    assert load_bundle(folder).digest == digest
    assert load_bundle(folder).manifest.version == "2"
    other = tmp_path / "other"
    other.mkdir()
    (other / "letter.txt").write_text("mine")
    with pytest.raises(SetupFault):
        save_small_bundle(other)
    assert (other / "letter.txt").read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {"bundle", "other"}


def test_a_bundle_without_cuts_loads_for_training_alone(tmp_path: Path) -> None:
    folder = tmp_path / "uncut"
    save_small_bundle(folder, any_vessel={"cuts": None})
    assert load_bundle(folder, for_scoring=False).manifest.any_vessel.cuts is None
    assert _refused(folder, ReasonCode.CUTS_MISSING).detail == "any_vessel"


def test_manifest_survives_its_own_json(pristine: Path) -> None:
    manifest = read_manifest(pristine)
    assert manifest.to_json() == (pristine / "bundle.json").read_bytes()
    assert json.loads(manifest.to_json())["schema"] == 1


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.binary(max_size=300), st.text(max_size=200).map(str.encode)))
def test_any_text_as_sums_is_refused(content: bytes) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "SHA256SUMS").write_bytes(content)
        with pytest.raises(SetupFault):
            bundle_digest(folder)


def test_a_place_that_cannot_be_written_is_said_without_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(SetupFault) as fault:
        save_small_bundle(tmp_path / "file" / "bundle")
    assert str(tmp_path) not in str(fault.value)
