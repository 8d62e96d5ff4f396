"""`ecgbatch show`."""

from pathlib import Path

import click

from ecgbatch.cli.options import (
    print_json,
    print_score_notice,
    print_table,
    settings_from,
    settings_options,
)
from ecgbatch.store.detail import RecordDetail, ResultDetail
from ecgbatch.terms import ANY_VESSEL

_PROVENANCE = (
    "pipeline_id",
    "bundle_digest",
    "reader",
    "reader_version",
    "signal_digest",
    "preprocessing_digest",
    "runtime",
    "precision",
    "code_version",
    "library_versions",
    "padded_samples",
    "run_id",
    "worker",
    "created_at",
)


@click.command("show")
@click.argument("record")
@settings_options
def command(record: str, config_file: Path | None, db_url: str | None, as_json: bool) -> None:
    """Everything known about RECORD: a recording_id, or at least 12 hex digits of its digest.

    Shows where it lies, so the answer is for operators.
    """
    from ecgbatch.preparation import open_to_read
    from ecgbatch.store import queries
    from ecgbatch.store.engine import transaction

    engine = open_to_read(settings_from(config_file, db_url))
    with transaction(engine) as connection:
        detail = queries.show(connection, record)
    if as_json:
        print_json(detail)
        return
    _print_recording(detail)
    for result in detail.results:
        _print_result(result)


def _print_recording(detail: RecordDetail) -> None:
    facts = detail.facts
    rows = [
        ("recording", detail.recording_id),
        ("file digest", facts.file_digest),
        ("signal digest", facts.signal_digest),
        ("patient key", facts.patient_key),
        ("acquired at", facts.acquired_at),
        ("time zone", facts.acquired_zone),
        ("age, sex", f"{_or_dash(facts.age_years)}, {_or_dash(facts.sex)}"),
        ("device, site", f"{_or_dash(facts.device)}, {_or_dash(facts.site)}"),
        ("edit status", facts.edit_status),
        ("statement normal", facts.statement_normal),
        ("format", facts.format),
        ("samples", f"{_or_dash(facts.n_samples)} at {_or_dash(facts.sampling_frequency)} Hz"),
    ]
    if detail.superseded_at:
        rows.append(("superseded", f"by {detail.superseded_by}: {detail.superseded_reason}"))
    for name, value in rows:
        click.echo(f"{name:<18}{_or_dash(value)}")
    click.echo()
    print_table(
        ("item", "disposition", "reason", "source", "place", "first seen"),
        [
            (i.item_id, i.disposition, i.reason, i.source_name, i.locator, i.first_seen_at)
            for i in detail.items
        ],
    )
    if detail.findings:
        click.echo()
        print_table(
            ("finding", "reason", "lead", "value", "limit", "refuses"),
            [(f.check, f.reason, f.lead, f.value, f.limit, f.refuses) for f in detail.findings],
        )


def _print_result(result: ResultDetail) -> None:
    click.echo(
        f"\nresult {result.result_id}: {result.outcome}"
        f"{f', {result.reason}' if result.reason else ''}"
        f" under {result.bundle_name} {result.bundle_version}"
    )
    if result.scores:
        cuts = {one.task: f"{one.low:.3f} to {one.high:.3f}" for one in result.cuts}
        print_table(
            ("task", "risk", "stratum", "near cut", "cuts", "raw", "logit", "experimental"),
            [
                (
                    s.task,
                    s.probability,
                    s.stratum,
                    "yes" if s.near_cut else "no",
                    cuts.get(s.task),
                    s.probability_raw,
                    s.logit,
                    "yes" if s.is_experimental else "no",
                )
                for s in result.scores
            ],
        )
        click.echo(
            f"any vessel: {result.any_vessel_risk:.3f} {result.any_vessel_stratum}"
            f", cuts {cuts.get(ANY_VESSEL, '-')}"
        )
        click.echo(f"outside intended use: {_or_dash(result.outside_intended_use)}")
        print_score_notice(is_clinical=result.is_clinical)
    for name in _PROVENANCE:
        click.echo(f"  {name.replace('_', ' '):<22}{_or_dash(getattr(result, name))}")


def _or_dash(value: object) -> object:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else value
