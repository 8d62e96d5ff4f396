"""`ecgbatch-train` as a whole: what goes wrong is one line and an exit code, --help is quick."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from ecgbatch.errors import SetupFault
from training.cli import main as command_line
from training.cli.faults import faults_reported
from training.cli.main import COMMANDS, main, run
from training.settings.base import read_toml, validated
from training.settings.evaluation import BootstrapSettings
from training.synthetic.workers import in_processes


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_trainer_has_help(name: str) -> None:
    done = CliRunner().invoke(main, [name, "--help"])

    assert done.exit_code == 0


def test_help_of_the_trainer_loads_nothing_heavy() -> None:
    script = (
        "import sys; from click.testing import CliRunner; from training.cli.main import main; "
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0; "
        "print([m for m in ('torch','scipy','pandas','matplotlib','pyarrow','sklearn',"
        "'numpy','pydantic') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"


def _ended(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    monkeypatch.setattr(sys, "argv", ["ecgbatch-train", *arguments])
    with pytest.raises(SystemExit) as ended:
        run()
    return ended.value.code


def _fails_with(fault: BaseException) -> object:
    def fails(*_: object, **__: object) -> None:
        raise fault

    return fails


def _synthesise(tmp_path: Path) -> tuple[str, ...]:
    return ("synthesise", "1", "--out", str(tmp_path / "out"), "--processes", "1", "--json")


def test_unexpected_fault_is_one_line_without_its_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command_line.main, "invoke", _fails_with(KeyError("ZQPID /ZQDIR/a.xml")))

    code = _ended(monkeypatch, *_synthesise(tmp_path))

    said = capsys.readouterr()
    assert code == 70
    assert said.err.count("\n") == 1
    assert said.err.startswith("internal_fault: KeyError")
    assert "ZQ" not in said.err + said.out
    assert json.loads(said.out)["error"]["reason"] == "internal_fault"


def test_interrupt_ends_with_130(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command_line.main, "invoke", _fails_with(KeyboardInterrupt()))

    assert _ended(monkeypatch, *_synthesise(tmp_path)) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_place_that_cannot_be_made_is_said_without_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ZQfile").write_text("in the way")

    with pytest.raises(SystemExit) as ended, faults_reported():
        (tmp_path / "ZQfile" / "out").mkdir(parents=True)

    said = capsys.readouterr().err
    assert ended.value.code == 4
    assert said.startswith("output_unwritable: a file or folder is in the way. Name a place")
    assert "ZQ" not in said


def test_full_disk_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, faults_reported(), Path("/dev/full").open("w") as out:
        out.write("x" * 100_000)

    assert ended.value.code == 4
    assert capsys.readouterr().err.startswith("disk_full")


def test_fault_of_ours_is_an_object_where_json_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = _ended(monkeypatch, "operating-points", "--run", str(tmp_path / "none"), "--json")

    answer = json.loads(capsys.readouterr().out)
    assert code == answer["exit_code"] == 4
    assert answer["error"]["reason"] == "run_folder_unfit"
    assert answer["error"]["advice"]


def test_usage_fault_of_the_trainer_ends_with_2(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _ended(monkeypatch, "fit") == 2
    assert _ended(monkeypatch, "no-such-command") == 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("name = 'x'\nsplit =\n", "the file is not TOML at line 2"),
        ("seeed = 1\n", "key seeed is not known"),
    ],
)
def test_mistake_in_the_settings_is_named(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(content)

    with pytest.raises(SetupFault, match=said):
        validated(BootstrapSettings, read_toml(path))


def _hears_ctrl_c(_: object, __: int, ___: int) -> Iterator[int]:
    yield int(signal.getsignal(signal.SIGINT) is not signal.SIG_IGN)


def test_processes_of_a_command_leave_ctrl_c_to_it() -> None:
    before = signal.getsignal(signal.SIGINT)

    assert list(in_processes(_hears_ctrl_c, None, 2)) == [0, 0]
    assert signal.getsignal(signal.SIGINT) is before
