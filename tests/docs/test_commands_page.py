"""The page of commands is the commands' help."""

from tests.support import commands_page


def test_page_of_commands_is_up_to_date() -> None:
    assert commands_page.PAGE.read_text(encoding="utf-8") == commands_page.text()
