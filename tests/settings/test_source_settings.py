"""The settings of a source: what belongs to which kind, and where its URL comes from."""

from pathlib import Path

import pytest

from ecgbatch.errors import SetupFault
from ecgbatch.settings import load_settings
from ecgbatch.sources.registry import open_source
from ecgbatch.terms import ReasonCode

DATABASE = {"kind": "database", "url": "sqlite:///x.db", "query": "SELECT 1"}


@pytest.mark.parametrize(
    "stated",
    [
        {**DATABASE, "folder": "/srv"},
        {**DATABASE, "archive": "/srv"},
        {**DATABASE, "include": ["*.xml"]},
        {**DATABASE, "done_suffix": ".done"},
        {"folder": "/srv", "query": "SELECT 1"},
        {"folder": "/srv", "path_root": "/srv"},
        {"folder": "/srv", "exclude": ["/srv/*"]},
        {"folder": "/srv", "include": [""]},
        {"folder": "/srv", "done_suffix": "done"},
        {"kind": "a bucket"},
    ],
)
def test_what_would_have_no_effect_is_refused(stated: dict[str, object]) -> None:
    with pytest.raises(SetupFault) as caught:
        load_settings(None, {"source": stated}, {})
    assert caught.value.reason is ReasonCode.SETTINGS_INVALID
    assert "/srv" not in str(caught.value)


@pytest.mark.parametrize(
    ("stated", "reason"),
    [
        ({"kind": "database", "query": "SELECT 1"}, ReasonCode.SETTINGS_INVALID),
        ({"kind": "bucket"}, ReasonCode.SETTINGS_INVALID),
        ({**DATABASE, "url": "no url"}, ReasonCode.SETTINGS_INVALID),
        ({**DATABASE, "url": "nosuch://host/db"}, ReasonCode.SETTINGS_INVALID),
        ({**DATABASE, "query": ""}, ReasonCode.SOURCE_QUERY_INVALID),
        ({**DATABASE, "query": "DROP TABLE x"}, ReasonCode.SOURCE_QUERY_INVALID),
    ],
)
def test_unfit_database_source_is_refused(stated: dict[str, object], reason: ReasonCode) -> None:
    with pytest.raises(SetupFault) as caught:
        open_source(load_settings(None, {"source": stated}, {}))
    assert caught.value.reason is reason


def test_url_file_needs_to_be_private_and_keeps_its_secret(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("postgresql://reader:secret@db.example/ecg\n")
    stated = {"kind": "database", "url_file": str(file), "query": "SELECT 1"}
    settings = load_settings(None, {"source": stated}, {})
    file.chmod(0o644)
    with pytest.raises(SetupFault):
        open_source(settings)
    file.chmod(0o600)

    source = open_source(settings)

    assert source.place == "postgresql://db.example/ecg"
    assert "secret" not in repr(settings) + repr(source)
    source.close()
