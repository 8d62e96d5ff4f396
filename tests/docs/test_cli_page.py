"""The page of commands is the commands' help, with what they really print."""

from collections.abc import Iterator
from pathlib import Path

import click

from ecgbatch.cli.main import cli
from tests.support import cli_examples, cli_page


def test_page_of_commands_is_up_to_date() -> None:
    assert cli_page.PAGE.read_text(encoding="utf-8") == cli_page.text()


def test_every_command_has_an_example_or_says_why_not() -> None:
    commands = {name for name, _ in _commands(cli, ())}
    shown = {example.command for example in cli_examples.EXAMPLES}

    assert shown | set(cli_examples.NOTES) == commands
    assert not shown & set(cli_examples.NOTES)


def test_examples_print_what_the_page_shows() -> None:
    fresh = cli_examples.run()

    stored = {path.stem: path.read_text(encoding="utf-8") for path in _files()}
    assert stored == {cli_examples.path_of(name).stem: text for name, text in fresh.items()}


def test_every_command_takes_json() -> None:
    commands = dict(_commands(cli, ()))

    assert len(commands) > 25
    lacking = [name for name, command in commands.items() if not _takes(command, "--json")]
    assert lacking == []


def test_every_command_of_a_database_takes_both_ways_to_it() -> None:
    for name, command in _commands(cli, ()):
        if _takes(command, "--db") and name != "demo":
            assert _takes(command, "--config"), name


def _files() -> Iterator[Path]:
    return cli_examples.FOLDER.glob("*.txt")


def _takes(command: click.Command, option: str) -> bool:
    return any(option in parameter.opts for parameter in command.params)


def _commands(group: click.Group, path: tuple[str, ...]) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from _commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command
