"""The closed list of reasons is complete, and its page is the list."""

from ecgbatch.reasons import REASONS
from ecgbatch.terms import ReasonCode
from tests.support import reasons_page


def test_every_reason_has_a_class_and_a_sentence() -> None:
    assert set(REASONS) == set(ReasonCode)
    assert all(reason.advice.endswith(".") for reason in REASONS.values())


def test_page_of_reasons_is_up_to_date() -> None:
    assert reasons_page.PAGE.read_text(encoding="utf-8") == reasons_page.text()
