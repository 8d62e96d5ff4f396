"""A run's data: prepared once into the run folder, opened by every later step."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from ecgbatch.errors import SetupFault
from ecgbatch.preprocessing.spec import preset
from ecgbatch.records import Millivolts
from ecgbatch.terms import ReasonCode
from training.data.cache import Cache
from training.data.environment import environment
from training.data.millivolts import millivolts_reader
from training.data.prepare import PreparedCohort, prepare
from training.data.reading import gate_settings, rules_digest
from training.data.report import data_report, refuse_none_left
from training.data.sheet import sheet_digest
from training.folder import RunFolder, clear_unfinished, readable, write_json, write_whole
from training.records import Cohort, Inputs, Progress
from training.settings.experiment import Experiment

_PRIVATE = 0o600
_FREE = {("data", "processes"), ("compute", "device"), ("compute", "checkpoint_every_steps")}


@dataclass(frozen=True, slots=True, eq=False)
class OpenedRun:
    """A prepared run.

    Attributes:
        inputs: prepared arrays in the cohort's order, mapped from the cache.
    """

    experiment: Experiment
    cohort: Cohort
    inputs: Inputs = field(repr=False)


def prepare_run(  # noqa: PLR0917 - six different things, each with a type of its own
    experiment: Experiment,
    manifest: Path,
    root: Path,
    run: RunFolder,
    cache: Path | None,
    progress: Progress,
) -> Cohort:
    """Read, check and prepare the data of an experiment into its run folder.

    It may be called again at any time: after a kill it goes on, after its end it changes nothing.

    Args:
        root: folder that the manifest's paths are relative to.
        cache: folder of prepared arrays; None: as before, at first in the run folder.

    Raises:
        SetupFault: `settings_invalid`: the run folder is of other settings, another manifest or
            other ECG files, or no vessel has enough positives; and as `prepare`.
    """
    _claim(experiment, manifest, run)
    keep_place(manifest, root, run, cache)
    prepared = prepare(
        experiment.data,
        experiment.labels,
        preset(experiment.data.preset),
        manifest=manifest,
        root=root,
        cache=_cache_of(run),
        progress=progress,
    )
    refuse_none_left(prepared.cohort, experiment.labels)
    if run.cohort.exists():
        _refuse_other_ecgs(prepared.cohort, run)
        return prepared.cohort
    _write(prepared, experiment, run)
    return prepared.cohort


def is_prepared(run: RunFolder) -> bool:
    """Whether the data of this run is whole."""
    return run.cohort.exists()


def open_run(run: RunFolder) -> OpenedRun:
    """The experiment, its cohort, and the arrays.

    Raises:
        SetupFault: `run_folder_unfit`: not prepared, or its cache is gone or damaged.
    """
    if not is_prepared(run):
        raise SetupFault(ReasonCode.RUN_FOLDER_UNFIT, "no cohort is prepared in it")
    experiment = stored_experiment(run)
    with readable("data/cohort.parquet"):
        cohort = Cohort.load(run.cohort)
    rules = rules_digest(preset(experiment.data.preset), gate_settings())
    folder = _cache_of(run)
    if not folder.is_dir():
        raise SetupFault(ReasonCode.RUN_FOLDER_UNFIT, "the cache of prepared arrays is gone")
    return OpenedRun(experiment, cohort, Cache(folder, rules).inputs(cohort.keys))


def stored_experiment(run: RunFolder) -> Experiment:
    """The settings that a run folder was made with.

    Raises:
        SetupFault: `run_folder_unfit`.
    """
    try:
        return Experiment.model_validate_json(run.settings.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise SetupFault(ReasonCode.RUN_FOLDER_UNFIT, "settings.json cannot be read") from None


def read_mv(run: RunFolder, keys: Sequence[str], root: Path | None = None) -> Iterator[Millivolts]:
    """(12, 5000) mV at 500 Hz of some ECGs of a run, unfiltered; `partial(read_mv, run)` is what
    an evaluation takes. One that cannot be read any more is left out.

    Args:
        root: where the ECGs lie now; None: where they lay when the run was prepared.
    """
    experiment = stored_experiment(run)
    with readable("data/private.parquet"):
        private = pd.read_parquet(run.private)
    read = millivolts_reader(
        dict(zip(private["key"], private["path"], strict=True)),
        root or Path(_place(run)["root"]),
        experiment.data.arrays,
        preset(experiment.data.preset),
    )
    return read(keys)


def refuse_other(experiment: Experiment, manifest: Path | None, run: RunFolder) -> None:
    """Hold a prepared run folder to the settings and, if one is given, the manifest.

    What no result depends on (device, reader processes, how often a checkpoint is written) may be
    another: it is noted in the folder.

    Raises:
        SetupFault: `settings_invalid`: it was made with another setting or another manifest.
    """
    resolved, stored = (one.model_dump(mode="json") for one in (experiment, stored_experiment(run)))
    if key := _first_difference(_decisive(resolved), _decisive(stored)):
        raise SetupFault(
            ReasonCode.SETTINGS_INVALID,
            f"the run folder was made with another {key}; use a new run folder",
        )
    if manifest is not None and _place(run)["manifest_digest"] != sheet_digest(manifest):
        raise SetupFault(
            ReasonCode.SETTINGS_INVALID,
            "the run folder was made from another manifest; use a new run folder",
        )
    if resolved != stored:
        write_json(run.settings, resolved)


def _decisive(settings: dict[str, Any]) -> dict[str, Any]:
    return {
        part: {name: value for name, value in keys.items() if (part, name) not in _FREE}
        if isinstance(keys, dict)
        else keys
        for part, keys in settings.items()
    }


def keep_place(
    manifest: Path | None, root: Path | None, run: RunFolder, cache: Path | None
) -> None:
    """Note where the ECGs and the prepared arrays lie on this machine; None: where they lay.

    Raises:
        SetupFault: `run_folder_unfit`: it has no place.json, and no manifest is given.
    """
    if manifest is not None and not run.place.exists():
        known = {"root": str(manifest.parent), "cache": run.cache.name}
    else:
        known = _place(run)
    place = {
        "manifest_digest": sheet_digest(manifest) if manifest else known["manifest_digest"],
        "root": str((root or Path(known["root"])).absolute()),
        "cache": known["cache"] if cache is None else str(cache.absolute()),
    }
    write_json(run.place, place)
    run.place.chmod(_PRIVATE)


def _claim(experiment: Experiment, manifest: Path, run: RunFolder) -> None:
    """Make the run folder this experiment's, unless it holds another's cohort."""
    if is_prepared(run):
        refuse_other(experiment, manifest, run)
        return
    write_json(run.settings, experiment.model_dump(mode="json"))
    write_json(run.environment, environment(experiment))


def _first_difference(new: Any, old: Any, key: str = "") -> str:
    """The first key whose values differ, dotted; empty where none do."""
    if isinstance(new, dict) and isinstance(old, dict):
        for name in (*new, *old):
            below = f"{key}.{name}" if key else str(name)
            if found := _first_difference(new.get(name), old.get(name), below):
                return found
        return ""
    return "" if new == old else key


def _cache_of(run: RunFolder) -> Path:
    return run.path / _place(run)["cache"]


def _place(run: RunFolder) -> dict[str, str]:
    try:
        place = json.loads(run.place.read_text(encoding="utf-8"))
        return {key: str(place[key]) for key in ("manifest_digest", "root", "cache")}
    except (OSError, ValueError, TypeError, KeyError):
        raise SetupFault(ReasonCode.RUN_FOLDER_UNFIT, "place.json cannot be read") from None


def _refuse_other_ecgs(cohort: Cohort, run: RunFolder) -> None:
    with readable("data/cohort.parquet"):
        stored = Cohort.load(run.cohort)
    if stored.keys != cohort.keys or stored.patients != cohort.patients:
        raise SetupFault(
            ReasonCode.SETTINGS_INVALID,
            "the ECG files are not those that the run was made from; use a new run folder",
        )


def _write(prepared: PreparedCohort, experiment: Experiment, run: RunFolder) -> None:
    """The cohort last: where it is, everything is."""
    run.private.parent.mkdir(parents=True, exist_ok=True)
    clear_unfinished(run.private.parent)
    write_whole(run.private, lambda aside: prepared.private.to_parquet(aside, index=False))
    run.private.chmod(_PRIVATE)
    write_whole(run.excluded, lambda aside: prepared.excluded.to_parquet(aside, index=False))
    write_json(run.data_report, data_report(prepared, experiment))
    write_whole(run.cohort, prepared.cohort.save)
