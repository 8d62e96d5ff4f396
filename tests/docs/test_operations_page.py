"""docs/operations.md names every alarm and every metric, as the program has them."""

from ecgbatch.service.alerts import Alarm
from tests.support.operations_page import PAGE, text


def test_page_is_what_the_code_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == text()


def test_every_alarm_has_a_row() -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert all(f"| `{alarm}` |" in page for alarm in Alarm)
