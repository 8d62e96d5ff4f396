"""One file over the packaged defaults, the environment over both."""

from pathlib import Path

import pytest

from ecgbatch.errors import SetupFault
from ecgbatch.settings import load_settings


def _file(folder: Path, text: str) -> Path:
    path = folder / "site.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_file_wins_over_defaults_and_environment_over_file(tmp_path: Path) -> None:
    path = _file(tmp_path, "[stability]\nsettle_s = 7\ngrace_s = 8\n")

    settings = load_settings(path, environment={"ECGBATCH_STABILITY__GRACE_S": "9"})

    assert settings.stability.settle_s == 7
    assert settings.stability.grace_s == 9
    assert settings.work.claim == 64


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[stability]\nsetle_s = 7\n", "unknown key stability.setle_s"),
        ("[qualty.flat]\nrefuses = true\n", "unknown key qualty"),
        ("[quality.flat]\nrefuses = 'yes'\n", "quality.flat.refuses"),
        ("[stability]\nsettle_s = '7'\n", "stability.settle_s"),
        ("[work]\nclaim = 0\n", "work.claim"),
        ("[bundle]\ndigest = 'abc'\n", "bundle.digest"),
        ("[quality.too_short]\nrefuses = false\n", "always refuse"),
        ("[alerts]\nmail_to = ['a@b.example']\n", "mail_to needs smtp_host"),
        ("[alerts]\nsmtp_user = 'u'\nsmtp_tls = 'off'\n", "over TLS alone"),
        ("[alerts]\nsmtp_host = 'h'\n", "sends to nobody"),
        ("[alerts]\nwebhook = 'https://h'\nwebhook_file = 'f'\n", "exclude each other"),
        ("[alerts]\nwebhook_token_file = 'f'\n", "needs webhook or webhook_file"),
        ("[alerts]\nwebhook = 'file:///etc/passwd'\n", "alerts.webhook"),
        ("[alerts]\nmail_to = ['a@b.example, c@d.example']\n", "alerts.mail_to"),
        ("[stability\n", "not TOML"),
    ],
)
def test_wrong_file_is_refused_and_the_key_is_named(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(SetupFault, match=named):
        load_settings(_file(tmp_path, text), environment={})


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupFault, match="does not exist"):
        load_settings(tmp_path / "nowhere.toml", environment={})


@pytest.mark.parametrize(
    "name", ["ECGBATCH_STABILITY__SETLE_S", "ECGBATCH_SETTLE", "ECGBATCH_DATABASE"]
)
def test_unknown_environment_variable_is_refused_by_name(name: str) -> None:
    with pytest.raises(SetupFault, match=name):
        load_settings(environment={name: "1"})


def test_text_that_looks_like_a_number_stays_text() -> None:
    settings = load_settings(environment={"ECGBATCH_SITE__AUTHORITY": "0042"})

    assert settings.site.authority == "0042"


def test_paths_are_relative_to_the_file_that_states_them(tmp_path: Path) -> None:
    settings = load_settings(_file(tmp_path, "[source]\nfolder = '../ecgs'\n"), environment={})

    assert settings.source.folder == str(tmp_path.parent / "ecgs")


def test_gate_digest_moves_with_gates_and_with_nothing_else() -> None:
    plain = load_settings(environment={})
    other_gate = load_settings(environment={"ECGBATCH_QUALITY__AMPLITUDE__LIMIT": "9.0"})
    other_rest = load_settings(environment={"ECGBATCH_WORK__CLAIM": "3"})

    assert plain.gate_digest != other_gate.gate_digest
    assert plain.gate_digest == other_rest.gate_digest


def test_database_url_file_must_be_private(tmp_path: Path) -> None:
    url_file = tmp_path / "url"
    url_file.write_text("postgresql://worker@db/ecg\n", encoding="utf-8")
    settings = load_settings(environment={"ECGBATCH_DATABASE__URL_FILE": str(url_file)})

    url_file.chmod(0o644)
    with pytest.raises(SetupFault, match="0600"):
        settings.database_url()

    url_file.chmod(0o600)
    assert settings.database_url() == "postgresql://worker@db/ecg"


@pytest.mark.parametrize("name", ["demo.toml", "hospital.example.toml"])
def test_shipped_settings_files_are_valid(name: str) -> None:
    assert load_settings(Path(__file__).parents[2] / "config" / name, environment={})


def test_every_key_of_the_defaults_has_a_comment() -> None:
    lines = (Path(__file__).parents[2] / "config" / "default.toml").read_text().splitlines()
    sections: dict[str, str] = {}
    comment, table = "", ""
    for line in lines:
        if line.startswith("#"):
            comment = line
        elif line.startswith("["):
            table, sections[line] = line, comment
        elif "=" in line and not line.startswith(" "):
            sections[f"{table}{line}"] = comment
    assert sections
    assert all(sections.values())
