"""What `doctor` sees of the service before it runs."""

from pathlib import Path

import pytest

from ecgbatch.checkup import Line, examine
from ecgbatch.service.fitness import looks
from ecgbatch.settings import load_settings


def found(**tables: dict[str, object]) -> dict[str, Line]:
    settings = load_settings(None, {"database": {"url": "sqlite:///none.db"}, **tables}, {})
    return {line.name: line for line in examine(settings, looks(settings))}


def test_timetable_and_ways_are_shown() -> None:
    lines = found(
        service={"schedule": "30 1 * * *"}, alerts={"webhook": "https://PLANTED.example/"}
    )

    assert lines["timetable"].is_well
    assert "30 1 * * *" in lines["timetable"].found
    assert lines["alarms"] == Line("alarms", True, "by webhook")
    assert found()["alarms"].found == "sent to nobody"


@pytest.mark.parametrize(
    ("table", "name", "detail"),
    [
        ({"service": {"schedule": "0 22-4 * * *"}}, "timetable", "service.schedule"),
        (
            {"service": {"schedule": "0 1 * * *", "time_zone": "Mars/Base"}},
            "timetable",
            "service.time_zone",
        ),
        ({"alerts": {"webhook_file": "nothing"}}, "alarms", "alerts.webhook_file"),
    ],
)
def test_unfit_service_is_found_before_it_starts(
    table: dict[str, dict[str, object]],
    name: str,
    detail: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    line = found(**table)[name]

    assert not line.is_well
    assert detail in line.found
    assert line.advice
