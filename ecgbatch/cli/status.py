"""`ecgbatch status`."""

import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import click

from ecgbatch.cli.options import print_json, print_table, settings_from, settings_options
from ecgbatch.cli.tables import (
    print_attention,
    print_challenges,
    print_counts,
    print_export,
    print_proofs,
    print_reasons,
    print_service,
)
from ecgbatch.reasons import advice
from ecgbatch.store.queries import Failure
from ecgbatch.terms import DEMONSTRATION_NOTICE, Disposition, ExitCode

_SHOWN = timedelta(days=1)
"""Signs of life that are older say nothing any more."""


@click.command("status")
@click.option("--failures", "with_failures", is_flag=True, help="Name each that is not scored.")
@settings_options
def command(
    with_failures: bool, config_file: Path | None, db_url: str | None, as_json: bool
) -> None:
    """What became of the ECGs: counts, reasons, champion, last run and export.

    With --failures every failed, unsupported, vanished and rejected item is listed with its place,
    and every one that waits for something that went wrong; that list is for operators.

    Exit code 0: nothing needs a person. 1: failed or unsupported items are not acknowledged.
    """
    from ecgbatch.preparation import open_to_read
    from ecgbatch.store import (
        alarms,
        bundles,
        control,
        exports,
        health,
        ledger,
        overview,
        proofs,
        queries,
        standing,
    )
    from ecgbatch.store.engine import transaction

    engine = open_to_read(settings_from(config_file, db_url))
    with transaction(engine) as connection:
        counts = ledger.balance(connection)
        reasons = overview.reasons(connection)
        champion = bundles.champion(connection)
        challenges = standing.challenges(connection)
        halt = control.halted(connection)
        runs = queries.last_runs(connection, limit=1)
        attention = queries.attention(connection)
        moment = ledger.now(connection)
        scan = health.last_scan(connection)
        beats = health.beats(connection, moment - _SHOWN)
        holding = alarms.holding(connection)
        proven = proofs.read(connection)
        export = exports.newest(connection)
        failures = queries.failures(connection) if with_failures else []
        stuck = overview.stuck(connection) if with_failures else []
    exit_code = ExitCode.ATTENTION if attention else ExitCode.DONE
    if as_json:
        answer = {
            "counts": counts,
            "reasons": reasons,
            "champion": None if champion is None else replace(champion, location=None),
            "challengers": [
                replace(one, bundle=replace(one.bundle, location=None)) for one in challenges
            ],
            "halted": halt,
            "last_run": runs[0] if runs else None,
            "last_scan": scan,
            "last_export": export,
            "heartbeats": [
                {"kind": beat.kind, "age_s": round(beat.age_s(moment), 1)} for beat in beats
            ],
            "alarms": [{"name": one.name, "since_at": one.since_at} for one in holding],
            "canary": proven.canary,
            "verified": proven.verified,
            "verified_at": proven.verified_at,
            "differing": proven.differing,
            "differing_recordings": proven.differing_recordings,
            "attention": attention,
        }
        print_json(answer | ({"failures": failures, "stuck": stuck} if with_failures else {}))
        sys.exit(exit_code)
    print_counts("items", counts)
    if champion is not None:
        click.echo(f"champion: {champion.name} {champion.version}, digest {champion.digest[:12]}")
        if not champion.is_clinical:
            click.echo(DEMONSTRATION_NOTICE)
    print_challenges(challenges)
    if halt is not None:
        click.echo(f"halted since {halt.at:%Y-%m-%d %H:%M:%S} UTC by {halt.by}: {halt.why}")
    if runs:
        ended = runs[0].exit_code
        state = "not ended" if ended is None else f"exit code {ended}"
        click.echo(f"last run: {runs[0].run_id}, {runs[0].started_at:%Y-%m-%d %H:%M:%S}Z, {state}")
    print_proofs(proven)
    print_export(export)
    print_service(scan, beats, holding, moment)
    print_reasons(reasons)
    if with_failures:
        click.echo()
        print_table(
            ("item", "disposition", "reason", "acknowledged", "place", "what to do"),
            [
                (
                    failure.item_id,
                    failure.disposition,
                    failure.reason,
                    _acknowledged(failure),
                    failure.locator,
                    advice(failure.reason),
                )
                for failure in failures
            ]
            + [
                (one.item_id, one.disposition, one.reason, None, one.locator, advice(one.reason))
                for one in stuck
            ],
        )
    else:
        print_attention(attention)
    sys.exit(exit_code)


def _acknowledged(failure: Failure) -> str | None:
    """Only failed and unsupported items wait for someone."""
    if failure.disposition not in (Disposition.FAILED, Disposition.UNSUPPORTED):
        return None
    return "yes" if failure.acknowledged_at else "no"
