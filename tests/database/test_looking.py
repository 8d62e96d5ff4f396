"""A real folder, a real database: a look, what it leaves out, and the archive behind it."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, text

from ecgbatch.archiving import put_away
from ecgbatch.errors import SetupFault
from ecgbatch.looking import Look, Looker, conclude, look
from ecgbatch.records import Member, Outcome, Quarantined
from ecgbatch.sources.folder import FolderSource
from ecgbatch.sources.folder_archive import Archive
from ecgbatch.sources.folder_read import read_member
from ecgbatch.store import ledger, memory
from ecgbatch.store.archive import archived
from ecgbatch.store.engine import transaction
from ecgbatch.store.locks import source_lock
from ecgbatch.store.tables import event, item
from ecgbatch.terms import ReasonCode
from tests.support import ledger as support
from tests.support.ledger import CHAMPION, GRACE_S, facts, rejected, scored

_LIMIT = 1 << 20
_HEADER = "r 1 500 2\nr.dat 16 200/mV 16 0 1 3 0 I\n"


@dataclass
class Ward:
    """An inbox and an archive on disk, and the ledger that watches it."""

    folder: Path
    looker: Looker
    provenance: support.Provenance

    @property
    def engine(self) -> Engine:
        return self.looker.engine

    def whole_look(self) -> Look:
        one = look(self.looker)
        conclude(self.looker, one)
        return one

    def work(self, outcome: Outcome, settle_s: float = 0.0) -> int:
        """Admit and end everything that is due so; how many."""
        with transaction(self.engine) as connection:
            ledger.admit(connection, self.looker.source_id, settle_s, 0.0)
            units = ledger.claim(
                connection,
                self.looker.source_id,
                CHAMPION,
                pipeline_id=self.provenance.pipeline_id,
                worker="w1",
                limit=100,
                lease_s=60.0,
            )
            for unit in units:
                ledger.finish(connection, unit, outcome, self.provenance, GRACE_S)
        return len(units)

    def shown(self) -> dict[str, tuple[str, str | None]]:
        with transaction(self.engine) as connection:
            rows = connection.execute(
                text("SELECT locator, disposition, reason FROM v_disposition")
            )
            return {row.locator: (row.disposition, row.reason) for row in rows}

    def stamps(self) -> list[tuple[bool, bool]]:
        """Whether each item is archived, and whether it is gone."""
        with transaction(self.engine) as connection:
            rows = connection.execute(select(item).order_by(item.c.item_id)).all()
        return [(row.archived_at is not None, row.gone_at is not None) for row in rows]


@pytest.fixture
def ward(engine: Engine, tmp_path: Path) -> Ward:
    inbox, archive = tmp_path / "inbox", tmp_path / "archive"
    inbox.mkdir()
    archive.mkdir()
    with transaction(engine) as connection:
        site = support.site(connection)
    source = FolderSource(inbox, _LIMIT, archive=Archive(inbox, archive, True, _LIMIT))
    looker = Looker(engine, source, site.source_id, site.provenance.run_id)
    return Ward(inbox, looker, site.provenance)


def _copying(ward: Ward) -> Looker:
    source = ward.looker.source
    assert isinstance(source, FolderSource)
    assert source.archive is not None
    return replace(
        ward.looker, source=replace(source, archive=replace(source.archive, moves=False))
    )


def _write(ward: Ward, name: str, content: str = "x") -> Path:
    path = ward.folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    return path


def test_item_below_a_folder_that_cannot_be_listed_does_not_vanish(ward: Ward) -> None:
    _write(ward, "ward/a.xml")
    _write(ward, "b.xml")
    ward.whole_look()
    (ward.folder / "ward").rename(ward.folder / "aside")
    (ward.folder / "ward").symlink_to("/")  # a mount that is something else by now

    for _ in range(3):
        seen = look(ward.looker)
        seen.scan.unlisted.append("ward")
        conclude(ward.looker, seen)
    assert ward.shown()["ward/a.xml"][0] == "waiting"

    for _ in range(3):
        ward.whole_look()
    assert ward.shown()["ward/a.xml"] == ("vanished", "gone"), "control: a listed folder misses it"


def test_suddenly_empty_source_is_doubted(ward: Ward) -> None:
    path = _write(ward, "a.xml")
    ward.whole_look()
    path.unlink()

    with pytest.raises(SetupFault) as caught:
        look(ward.looker)
    assert caught.value.reason is ReasonCode.SOURCE_UNAVAILABLE


def test_known_header_is_not_opened_by_the_next_look(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(ward, "r.hea", _HEADER)
    (ward.folder / "r.dat").write_bytes(b"\1\0\2\0")
    opened: list[bytes] = []

    def counted(folder: int, name: bytes, limit_bytes: int) -> tuple[Member, str]:
        opened.append(name)
        return read_member(folder, name, limit_bytes)

    monkeypatch.setattr("ecgbatch.sources.folder_read.read_member", counted)
    ward.whole_look()
    ward.whole_look()
    assert opened == [b"r.hea"]

    list(ward.looker.source.scan())
    assert opened == [b"r.hea"] * 2, "control: a scan that knows nothing reads it"


def test_scored_files_are_moved_and_are_not_missed(ward: Ward) -> None:
    path = _write(ward, "ward/a.xml")
    ward.whole_look()
    assert ward.work(scored(facts("e1"))) == 1

    assert _digest_of(ward, path) == 1
    assert put_away(ward.looker) == 0

    assert not path.exists()
    assert ward.stamps() == [(True, True)]
    for _ in range(4):
        ward.whole_look()
    assert ward.shown() == {"ward/a.xml": ("scored", None)}


def _digest_of(ward: Ward, path: Path) -> int:
    """Let the ledger know the digest that the file really has; how many recordings."""
    source = ward.looker.source
    (seen,) = (one for one in source.scan() if one.locator.endswith(path.name))
    digest = source.read(seen.locator, seen.fingerprint).file_digest
    with transaction(ward.engine) as connection:
        changed = connection.execute(
            text("UPDATE recording SET file_digest = :digest"), {"digest": digest}
        )
    return changed.rowcount


def test_failed_and_waiting_files_stay_for_the_operator(ward: Ward) -> None:
    failed = _write(ward, "a.xml")
    ward.whole_look()
    ward.work(Quarantined(facts("e1"), ReasonCode.XML_INVALID, "decode"))
    waiting = _write(ward, "b.xml")
    ward.whole_look()

    put_away(ward.looker)

    assert failed.exists()
    assert waiting.exists()
    assert ward.stamps() == [(False, False)] * 2


def test_rejected_files_are_archived(ward: Ward) -> None:
    path = _write(ward, "a.xml")
    ward.whole_look()
    ward.work(rejected(facts("e1")))

    put_away(ward.looker)

    assert not path.exists()


def test_move_that_the_ledger_did_not_hear_of_is_made_up_for(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _write(ward, "a.xml")
    ward.whole_look()
    ward.work(scored(facts("e1")))

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ecgbatch.archiving.archived", killed)
    with pytest.raises(KeyboardInterrupt):
        put_away(ward.looker)
    monkeypatch.undo()
    assert not path.exists()
    assert ward.stamps() == [(False, False)]

    put_away(ward.looker)
    assert ward.stamps() == [(True, True)]
    ward.whole_look()
    assert ward.shown() == {"a.xml": ("scored", None)}
    with transaction(ward.engine) as connection:
        kinds = connection.execute(select(event.c.kind)).scalars().all()
    assert kinds.count("archived") == 1


def test_copied_file_stays_and_is_copied_once(ward: Ward) -> None:
    path = _write(ward, "a.xml")
    ward.whole_look()
    ward.work(scored(facts("e1")))
    _digest_of(ward, path)
    copying = _copying(ward)

    put_away(copying)
    ward.whole_look()
    put_away(copying)

    assert path.exists()
    assert ward.stamps() == [(True, False)]
    put_away(ward.looker)
    assert not path.exists()
    assert ward.stamps() == [(True, True)]


def test_copy_that_fails_is_counted_and_tried_again(ward: Ward) -> None:
    path = _write(ward, "a.xml")
    ward.whole_look()
    ward.work(scored(facts("e1")))

    assert put_away(_copying(ward)) == 1, "the ledger's digest is not that of the file"
    assert ward.stamps() == [(False, False)]
    _digest_of(ward, path)
    assert put_away(_copying(ward)) == 0


def test_second_look_is_not_needed_with_markers(ward: Ward) -> None:
    source = ward.looker.source
    assert isinstance(source, FolderSource)
    marked = replace(ward, looker=replace(ward.looker, source=replace(source, done_suffix=".done")))
    _write(ward, "a.xml")
    marked.whole_look()
    with transaction(ward.engine) as connection:
        ledger.admit(connection, ward.looker.source_id, 0.0, GRACE_S)
    assert ward.shown() == {"a.xml": ("waiting", "incomplete")}

    _write(ward, "a.xml.done")
    marked.whole_look()
    assert marked.work(scored(facts("e1"))) == 1
    assert ward.shown() == {"a.xml": ("scored", None)}


def test_a_scan_that_lost_its_lock_keeps_no_watermark_and_archives_nothing(ward: Ward) -> None:
    source_id = ward.looker.source_id
    with source_lock(ward.engine, source_id) as held:
        with transaction(ward.engine) as connection:
            memory.keep_watermark(connection, source_id, "mine", held)
            connection.execute(text("UPDATE source SET scan_token = scan_token + 1"))
        with pytest.raises(SetupFault) as caught, transaction(ward.engine) as connection:
            memory.keep_watermark(connection, source_id, "stale", held)
        assert caught.value.reason is ReasonCode.LOCK_LOST
        with pytest.raises(SetupFault), transaction(ward.engine) as connection:
            archived(connection, [1], ward.looker.run_id, held, moves=True)

    with transaction(ward.engine) as connection:
        assert memory.watermark(connection, source_id) == "mine"
