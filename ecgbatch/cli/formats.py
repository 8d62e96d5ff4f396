"""`ecgbatch formats`."""

import click

from ecgbatch.cli.options import print_json, print_table


@click.command("formats")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(as_json: bool) -> None:
    """The ECG formats that are read, what each reader was checked against, and those refused.

    Evidence: `real samples` of devices, `synthetic` files that other software made, or the
    `specification` of the format alone. A refused format is recognised and named, not read.
    """
    from ecgbatch.readers.refused import REFUSED
    from ecgbatch.readers.registry import READERS

    if as_json:
        print_json(
            {
                "read": [
                    {"reader": one.name, "title": one.title, "evidence": one.evidence}
                    for one in READERS
                ],
                "refused": [{"title": one.title, "reason": one.reason} for one in REFUSED],
            }
        )
        return
    print_table(
        ("format", "reader", "status", "evidence"),
        [
            *((one.title, one.name, "read", one.evidence) for one in READERS),
            *((one.title, None, f"refused: {one.reason}", None) for one in REFUSED),
        ],
    )
