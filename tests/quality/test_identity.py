"""Pseudonyms: keyed, stable, and none for nobody."""

import hmac
from datetime import datetime
from hashlib import sha256
from pathlib import Path

import pytest

from ecgbatch.errors import SetupFault
from ecgbatch.identity import Pseudonymiser, acquisition_key, create_site_key, load_site_key
from ecgbatch.settings import load_settings

KEY = bytes(range(32))
WORDS = load_settings(environment={}).site.placeholders


def _pseudonymiser(key: bytes = KEY, authority: str = "mpi") -> Pseudonymiser:
    return Pseudonymiser(key, authority, WORDS)


def test_key_is_the_hmac_of_authority_and_identifier() -> None:
    expected = hmac.new(KEY, b"mpi\x00007", sha256).hexdigest()

    assert _pseudonymiser().patient_key("007") == expected
    assert _pseudonymiser().patient_key(" 007 ") == expected


def test_leading_zeros_authority_and_key_tell_patients_apart() -> None:
    keys = {
        _pseudonymiser().patient_key("007"),
        _pseudonymiser().patient_key("7"),
        _pseudonymiser(authority="other").patient_key("007"),
        _pseudonymiser(key=KEY[::-1]).patient_key("007"),
    }

    assert len(keys) == 4


@pytest.mark.parametrize(
    "nobody", [None, "", "   ", "0", "00000000", "000-00-0000", "UNKNOWN", "Unk", "xxxxxx", "---"]
)
def test_placeholder_names_nobody(nobody: str | None) -> None:
    assert _pseudonymiser().patient_key(nobody) is None


@pytest.mark.parametrize("somebody", ["0001", "A00", "SYNTH0001", "患者1", "1.2.840"])
def test_identifier_is_no_placeholder(somebody: str) -> None:
    assert _pseudonymiser().patient_key(somebody) is not None


def test_acquisition_key_needs_patient_time_and_device() -> None:
    moment = datetime(2024, 1, 1, 10, 35, 17, 900)  # noqa: DTZ001 - the cart's wall clock

    assert acquisition_key(None, moment, "MAC") is None
    assert acquisition_key("p", None, "MAC") is None
    assert acquisition_key("p", moment, None) is None
    assert acquisition_key("p", moment, "MAC") == acquisition_key(
        "p", moment.replace(microsecond=0), "MAC"
    )
    assert acquisition_key("p", moment, "MAC") != acquisition_key("p", moment, "MAC2")


def test_new_key_is_private_and_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "site.key"

    made = create_site_key(path)

    assert path.stat().st_mode & 0o777 == 0o600
    assert load_site_key(path) == made
    with pytest.raises(FileExistsError):
        create_site_key(path)


def test_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "site.key"
    create_site_key(path)
    path.chmod(0o640)

    with pytest.raises(SetupFault, match="site_key_permissions"):
        load_site_key(path)


def test_short_or_missing_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "site.key"
    with pytest.raises(SetupFault, match="site_key_missing"):
        load_site_key(path)
    path.write_bytes(b"short")
    path.chmod(0o600)
    with pytest.raises(SetupFault, match="less than 32"):
        load_site_key(path)
