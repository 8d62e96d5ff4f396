"""What operators' commands share: `[--code REASON | ITEM...] --reason TEXT`."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ecgbatch.terms import ReasonCode

if TYPE_CHECKING:
    from ecgbatch.store.acts import Choice

_Function = TypeVar("_Function", bound=Callable[..., Any])


def code_option(help_line: str) -> Callable[[_Function], _Function]:
    """Add --code, one of the reasons."""
    return click.option(
        "--code",
        type=click.Choice([code.value for code in ReasonCode]),
        metavar="REASON",
        help=help_line,
    )


def choice_options(why: str) -> Callable[[_Function], _Function]:
    """Add ITEM..., --code and --reason; `why` is the help of the latter."""

    def add(function: _Function) -> _Function:
        for option in (
            click.option("--reason", "why", required=True, help=why),
            code_option("All with this reason."),
            click.argument("items", nargs=-1, type=click.IntRange(min=1), metavar="[ITEM...]"),
        ):
            function = option(function)
        return function

    return add


def choice_of(items: tuple[int, ...], code: str | None, why: str) -> "Choice":
    """What was typed, as the store takes it; the actor is the account.

    Raises:
        click.UsageError: both or neither of items and code, or no reason.
    """
    from ecgbatch.provenance import actor
    from ecgbatch.store.acts import Choice

    if bool(items) == (code is not None):
        raise click.UsageError("give either item numbers or --code REASON")
    return Choice(actor(), stated(why), ReasonCode(code) if code else None, items)


def stated(why: str) -> str:
    """The reason without blanks around it.

    Raises:
        click.UsageError: it is empty.
    """
    if not why.strip():
        raise click.UsageError("--reason must say something")
    return why.strip()
