"""`ecgbatch migrate`."""

from pathlib import Path

import click

from ecgbatch.cli.options import print_json, settings_from, settings_options


@click.command("migrate")
@click.option("--sql", is_flag=True, help="Print the SQL instead of running it.")
@click.option("--roles", is_flag=True, help="Print the SQL of the PostgreSQL roles instead.")
@settings_options
def command(
    sql: bool, roles: bool, config_file: Path | None, db_url: str | None, as_json: bool
) -> None:
    """Create the database or bring it to this version's revision.

    With --sql nothing is touched: the whole script from an empty database is printed, for an
    administrator who runs it; with --roles the one that makes the roles and their rights.
    """
    from ecgbatch.preparation import options_of
    from ecgbatch.store.migrate import migrate, migration_sql, roles_sql

    settings = settings_from(config_file, db_url)
    url = settings.database_url()
    if sql and roles:
        raise click.UsageError("give either --sql or --roles")
    if sql or roles:
        script = migration_sql(url) if sql else roles_sql(settings.database.schema_name)
        if as_json:
            print_json({"sql": script})
        else:
            click.echo(script)
        return
    done = migrate(url, options_of(settings))
    if as_json:
        print_json(done)
    elif done.before == done.after:
        click.echo(f"the database is at revision {done.after}; nothing to do")
    else:
        verb = "created" if done.created else "migrated"
        click.echo(f"{verb}: from {done.before or 'nothing'} to revision {done.after}")
