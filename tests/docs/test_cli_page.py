"""The page of commands is the commands' help."""

from tests.support import cli_page


def test_page_of_commands_is_up_to_date() -> None:
    assert cli_page.PAGE.read_text(encoding="utf-8") == cli_page.text()
