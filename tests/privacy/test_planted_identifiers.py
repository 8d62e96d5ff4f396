"""Identifiers planted in ECGs of every format, whole and damaged, come out nowhere at DEBUG."""

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import Engine, inspect, text

from ecgbatch.identity import create_site_key
from ecgbatch.resources import demonstration
from ecgbatch.store.engine import open_engine
from tests.cli.command import Ended, ecgbatch
from tests.support.planted import BORN, planted, tokens, write_planted

COLUMNS = {
    "locator": "ZQL",
    "members": "ZQL",
    "root": "ZQL",
    "accession": "ZQCACC",
    "order_number": "ZQCORD",
    "ecg_id": "ZQCECG",
    "site": "ZQCSITE",
    "device": "ZQCDEV",
}
"""The columns that may hold a token, and which."""

WHY = ("--reason", "a test")
SILENT = (
    ("status", "--json"),
    ("status",),
    ("doctor", "--json"),
    ("bundle", "show"),
    ("acknowledge", "--code", "format_unknown", *WHY),
    ("patient", "lookup", "--key", "0" * 64, *WHY),
    ("ledger", "check"),
    ("audit", "check"),
    ("halt", *WHY),
    ("resume", *WHY, "--json"),
    ("rescore", "--scope", "all", *WHY),
    ("retry", "--code", "header_invalid", *WHY),
    ("ignore", "--code", "format_pdf", *WHY, "--json"),
    ("work", "--drain"),
    ("quarantine", "list"),
    ("quarantine", "list", "--json"),
    ("ledger", "check", "--json"),
    ("migrate",),
)
"""Commands that may not even say where a file lies."""
FOR_OPERATORS = (
    ("status", "--failures", "--json"),
    ("status", "--failures"),
    ("show", "1", "--json"),
    ("show", "1"),
    ("show", "3", "--json"),
)
"""Those that show places, and of one ECG its clerical fields."""


@dataclass
class Site:
    """A scored source full of tokens, and everything that was said meanwhile.

    Attributes:
        server_log: what the PostgreSQL server wrote, with its default settings; None on SQLite.
    """

    config: Path
    engine: Engine
    server_log: Path | None = None
    said: dict[str, Ended] = field(default_factory=dict)

    def say(self, *command: str) -> Ended:
        self.said[" ".join(command)] = ended = ecgbatch(*command, "--config", self.config)
        return ended


@pytest.fixture(
    scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
)
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("planted")
    write_planted(home / "ZQLfolder")
    create_site_key(home / "site.key")
    url = f"sqlite:///{home / 'ecg.db'}"
    server_log = None
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres")
        url = server.url(server.create())
        server_log = server.home / "log"
    lines = (
        f"[database]\nurl = '{url}'\n[log]\nlevel = 'debug'",
        f"[source]\nfolder = '{home / 'ZQLfolder'}'\nname = 'ward'",
        "[site]\nkey_file = 'site.key'\n[stability]\nsettle_s = 0.0\ngrace_s = 0.0",
        "[limits]\nrecording_bytes = 3000000\n[bundle]\nallow_demonstration = true",
    )
    (home / "site.toml").write_text("\n".join(lines))
    ecgbatch("migrate", "--config", home / "site.toml")
    ready = ("bundle", "activate", demonstration("bundle"), *WHY)
    assert ecgbatch(*ready, "--config", home / "site.toml").exit_code == 0
    engine = open_engine(url)
    found = Site(home / "site.toml", engine, server_log)
    found.say("run-once", "--settle", "0")
    found.say("run-once", "--settle", "0", "--json")
    for command in (*SILENT, *FOR_OPERATORS):
        found.say(*command)
    yield found
    engine.dispose()


def test_the_run_met_every_format_and_many_kinds_of_failure(site: Site) -> None:
    with site.engine.connect() as connection:
        formats = set(connection.execute(text("SELECT DISTINCT format FROM recording")).scalars())
        reasons = set(
            connection.execute(text("SELECT DISTINCT reason FROM v_disposition")).scalars()
        )
        patients = connection.execute(
            text("SELECT COUNT(*) FROM recording WHERE patient_key IS NOT NULL")
        ).scalar_one()

    assert formats - {None} == {
        *("muse", "aecg", "philips", "mortara", "cardiosoft", "schiller"),
        *("dicom", "scp", "edf", "wfdb", "npy"),
    }
    assert patients >= 10
    assert reasons >= {
        *("incomplete", "format_unknown", "operator", "xml_entity", "file_too_large"),
        *("not_regular", "unit_unknown", "header_invalid", "expansion_limit"),
    }
    assert len(reasons) >= 12


def test_runs_and_silent_commands_say_no_token(site: Site) -> None:
    loud = {" ".join(command) for command in FOR_OPERATORS}
    heard = {
        name: tokens(ended.out + ended.err) for name, ended in site.said.items() if name not in loud
    }

    assert all(ended.exit_code in {0, 1} for ended in site.said.values())
    assert {name: found for name, found in heard.items() if found} == {}


def test_commands_for_operators_say_places_and_clerical_fields_alone(site: Site) -> None:
    loud = {" ".join(command) for command in FOR_OPERATORS} & site.said.keys()
    heard = {name: tokens(site.said[name].out) for name in loud}

    assert all(any(one.startswith("ZQL") for one in found) for found in heard.values())
    assert not [
        one for found in heard.values() for one in found if not one.startswith(("ZQL", "ZQC"))
    ]
    assert not any(tokens(site.said[name].err) for name in loud)


def test_the_log_was_at_debug_and_is_lines_of_json(site: Site) -> None:
    lines = [
        json.loads(line)
        for line in site.said["run-once --settle 0"].err.splitlines()
        if line.startswith("{")
    ]

    assert len([line for line in lines if line["event"] == "not_scored"]) >= 20


def test_each_token_in_the_database_stands_in_its_own_column(site: Site) -> None:
    found: dict[str, set[str]] = defaultdict(set)
    with site.engine.connect() as connection:
        inspector = inspect(connection)
        for name in (*inspector.get_table_names(), *inspector.get_view_names()):
            for row in connection.execute(text(f"SELECT * FROM {name}")).mappings():
                for column, value in row.items():
                    found[column] |= tokens(str(value))

    misplaced = {
        column: sorted(one for one in held if not one.startswith(COLUMNS.get(column, "nowhere")))
        for column, held in found.items()
    }
    assert {column: held for column, held in misplaced.items() if held} == {}
    for column in ("locator", "root", "accession", "order_number", "site", "device"):
        assert found[column], f"no token reached {column}: the test could not fail"


def test_no_file_that_the_program_wrote_holds_a_person(site: Site) -> None:
    logs = [] if site.server_log is None else [site.server_log]
    for path in (*site.config.parent.iterdir(), *logs):
        if path.is_file():
            content = path.read_bytes().decode("latin-1")
            people = {one for one in tokens(content) if one.startswith("ZQP") or one in BORN}
            assert people == set(), path.name


_NOISY = """
from ecgbatch import telemetry
from ecgbatch.flow import Flow
quiet = Flow._bytes_of
def noisy(flow, unit):
    telemetry.logger().debug({said})
    return quiet(flow, unit)
Flow._bytes_of = noisy
from ecgbatch.cli.main import main
main()
"""


def _noisy_run(folder: Path, said: str) -> str:
    (folder / "in").mkdir()
    (folder / "in" / "ZQLmuse.xml").write_bytes(planted()["ZQLmuse.xml"])
    config = folder / "site.toml"
    config.write_text(
        "[stability]\nsettle_s = 0.0\n"
        f"[database]\nurl = 'sqlite:///{folder / 'ecg.db'}'\n[log]\nlevel = 'debug'\n"
        f"[source]\nfolder = 'in'\n[bundle]\nallow_demonstration = true\n"
    )
    ecgbatch("migrate", "--config", config)
    ecgbatch("bundle", "activate", demonstration("bundle"), *WHY, "--config", config)
    done = subprocess.run(
        [sys.executable, "-c", _NOISY.format(said=said), *("run-once", "--config", config)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_a_log_line_with_a_place_would_be_seen(tmp_path: Path) -> None:
    assert tokens(_noisy_run(tmp_path, "unit.locator")) == {"ZQLmuse"}


def test_a_field_that_nobody_has_allowed_does_not_leave_the_process(tmp_path: Path) -> None:
    said = "'reading', locator=unit.locator, patient='ZQPID'"

    heard = _noisy_run(tmp_path, said)

    assert '"event": "reading"' in heard
    assert tokens(heard) == set()
