"""The tables that several commands print."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import click

from ecgbatch.cli.options import print_score_notice, print_table
from ecgbatch.reasons import advice
from ecgbatch.terms import Disposition, Vessel

if TYPE_CHECKING:
    from ecgbatch.store.alarms import Change
    from ecgbatch.store.exports import ExportRow
    from ecgbatch.store.health import Beat, ScanRow
    from ecgbatch.store.overview import ReasonCount
    from ecgbatch.store.proofs import Proofs
    from ecgbatch.store.queries import LatestRisk
    from ecgbatch.store.standing import Challenge


def print_counts(title: str, counts: Mapping[Disposition, int]) -> None:
    """`title: scored 7, rejected 1`; what is zero is left out."""
    parts = [f"{name} {counts[name]}" for name in Disposition if counts.get(name)]
    click.echo(f"{title}: {', '.join(parts) or 'nothing'}")


def print_reasons(reasons: Sequence["ReasonCount"]) -> None:
    """Why items are not scored, and what to do about it."""
    rows = [(one.disposition, one.items, one.reason, advice(one.reason)) for one in reasons]
    if rows:
        click.echo()
        print_table(("disposition", "items", "reason", "what to do"), rows)


def print_service(
    scan: "ScanRow | None", beats: Sequence["Beat"], alarms: Sequence["Change"], moment: datetime
) -> None:
    """The newest scan, who lives, and which alarms hold."""
    if scan is not None:
        state = "not ended" if scan.ended_at is None else f"exit code {scan.exit_code}"
        click.echo(f"last scan: {scan.started_at:%Y-%m-%d %H:%M:%S}Z, {state}")
    for beat in beats:
        click.echo(f"{beat.kind}: seen {beat.age_s(moment):.0f} s ago")
    for alarm in alarms:
        click.echo(f"alarm: {alarm.name} since {alarm.since_at:%Y-%m-%d %H:%M:%S}Z")


def print_proofs(proven: "Proofs") -> None:
    """The newest canary, and what came of the results that were computed again."""
    if proven.canary is not None:
        click.echo(f"last canary: {proven.canary.at:%Y-%m-%d %H:%M:%S}Z, {proven.canary.outcome}")
    parts = [f"{outcome} {number}" for outcome, number in proven.verified.items() if number]
    if proven.verified_at is not None:
        click.echo(f"verified: {', '.join(parts)}; last {proven.verified_at:%Y-%m-%d %H:%M:%S}Z")
    if proven.differing:
        named = " ".join(map(str, proven.differing_recordings))
        click.echo(f"{proven.differing} current results differ: see `ecgbatch verify {named}`")


def print_export(export: "ExportRow | None") -> None:
    """The newest export, and what to do where it failed."""
    if export is None:
        return
    state = "not ended" if export.exit_code is None else f"exit code {export.exit_code}"
    why = "" if export.reason is None else f": {export.reason}. {advice(export.reason)}"
    click.echo(f"last export: {export.started_at:%Y-%m-%d %H:%M:%S}Z, {state}{why}")


def print_challenges(challenges: Sequence["Challenge"]) -> None:
    """How each challenger gets on; nothing where there is none."""
    for one in challenges:
        bundle = f"{one.bundle.name} {one.bundle.version}, digest {one.bundle.digest[:12]}"
        click.echo(f"challenger: {bundle}: {one.results} results, {one.waiting} waiting")
        if one.unfit_since is not None and one.reason is not None:
            since = f"{one.unfit_since:%Y-%m-%d %H:%M:%S}Z"
            click.echo(f"  not usable since {since}: {one.reason}. {advice(one.reason)}")


def print_attention(number: int) -> None:
    if number:
        click.echo(
            f"\n{number} failed or unsupported not acknowledged: "
            "`ecgbatch status --failures` names them"
        )


def print_risks(risks: Sequence["LatestRisk"]) -> None:
    """One row per ECG: risk and stratum per vessel, near a cut marked with ~."""
    headings = ["record", "ECG of", "age", "sex"]
    headings += [vessel.value for vessel in Vessel]
    headings += ["any vessel"]
    rows = [
        [
            risk.recording_id,
            risk.ecg_date if risk.ecg_date_source == "acquired_at" else "no date",
            None if risk.age_years is None else f"{risk.age_years:g}",
            risk.sex,
            *(_cell(risk, vessel) for vessel in Vessel),
            f"{risk.any_vessel_risk:.3f} {risk.any_vessel_stratum}",
        ]
        for risk in risks
    ]
    click.echo()
    print_table(headings, rows)
    click.echo("LM is experimental. ~ marks a risk so close to a cut that its stratum may flip.")
    print_score_notice(is_clinical=all(risk.is_clinical for risk in risks))


def _cell(risk: "LatestRisk", vessel: Vessel) -> str:
    one = risk.vessels[vessel]
    return f"{one.probability:.3f} {one.stratum or '-'}{' ~' if one.near_cut else ''}"
