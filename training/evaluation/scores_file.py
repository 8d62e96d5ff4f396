"""A file of scores as `v_latest_risk` gives them: read, checked, and what it implies."""

from pathlib import Path

import numpy as np
import pandas as pd

from ecgbatch.bundle.manifest import Manifest
from ecgbatch.bundle.operating_points import Scope
from ecgbatch.errors import SetupFault
from ecgbatch.terms import ANY_VESSEL, ReasonCode, Stratum, Vessel
from training.evaluation.of_bundle import cut_pairs
from training.records import Array
from training.statistics.any_vessel import SCOPES, counted
from training.statistics.decisions import classes

RISKS = [f"risk_{vessel.lower()}" for vessel in Vessel]
_ANY_RISK, _ANY_STRATUM = "any_vessel_risk", "any_vessel_stratum"
_NEEDED = ("bundle_name", "bundle_version", "is_clinical", *RISKS)
_PLACES = {stratum.value: place for place, stratum in enumerate(Stratum)}
_BOOLEAN = {"1": True, "0": False, "true": True, "false": False, "t": True, "f": False}
_BOOLEAN |= {"1.0": True, "0.0": False}
_PRINTED = 1e-9
"""A program may print fewer digits than it holds: so close is equal."""


def read_scores(path: Path) -> pd.DataFrame:
    """CSV or Parquet; every risk a number within 0 and 1.

    Raises:
        SetupFault: `manifest_invalid`.
    """
    try:
        is_parquet = path.suffix.lower() == ".parquet"
        table = pd.read_parquet(path) if is_parquet else pd.read_csv(path, dtype="string")
    except (OSError, ValueError):
        raise _fault("the scores cannot be read") from None
    if absent := [name for name in _NEEDED if name not in table.columns]:
        raise _fault(f"the scores lack {', '.join(absent)}")
    if table.empty:
        raise _fault("the scores have no row")
    for column in (*RISKS, *({_ANY_RISK} & set(table.columns))):
        table[column] = pd.to_numeric(table[column], errors="coerce").astype("float64")
        if not table[column].between(0.0, 1.0).all():
            raise _fault(f"{column}: not all within 0 and 1")
    table["is_clinical"] = booleans(table["is_clinical"])
    return table


def booleans(column: "pd.Series[object]") -> "pd.Series[bool]":
    """True and false as a database or a CSV writes them; anything else is missing."""
    return column.astype("string").str.lower().map(_BOOLEAN).astype("boolean")


def only_bundle(table: pd.DataFrame) -> tuple[str, str]:
    """Name and version of the one bundle behind all scores.

    Raises:
        SetupFault: `manifest_invalid`, there are two, or a row does not say.
    """
    found = table[["bundle_name", "bundle_version", "is_clinical"]]
    if found.isna().any(axis=None):
        raise _fault("bundle_name, bundle_version or is_clinical is missing in a row")
    bundles = found.drop_duplicates()
    if len(bundles) != 1:
        raise _fault(f"the scores are of {len(bundles)} bundles; a study is of one")
    return str(bundles.iloc[0, 0]), str(bundles.iloc[0, 1])


def cuts_of(table: pd.DataFrame) -> dict[Scope, tuple[float, float]]:
    """Cuts that give every score the stratum it was written with; scopes without strata absent.

    Raises:
        SetupFault: `manifest_invalid`, the strata do not rise with the risk, or some are missing.
    """
    found: dict[Scope, tuple[float, float]] = {}
    for scope in SCOPES:
        risk, stratum = _columns(scope)
        if not {risk, stratum} <= set(table.columns) or table[stratum].isna().all():
            continue
        if table[stratum].isna().any():
            raise _fault(f"{scope}: some strata are missing")
        risks = table[risk].to_numpy(dtype=np.float64)
        found[scope] = _cuts_between(scope, risks, table[stratum].astype("string"))
    return found


def experimental_of(table: pd.DataFrame, stated: tuple[Vessel, ...]) -> tuple[Vessel, ...]:
    """The vessels that any vessel did not count when the scores were written.

    Those that the settings state, as far as `any_vessel_risk` is then the maximum of the others;
    else those whose risk is somewhere above it. A vessel without strata is experimental.

    Raises:
        SetupFault: `manifest_invalid`, `any_vessel_risk` is no maximum of risks.
    """
    without = {
        vessel
        for vessel in Vessel
        if (name := _columns(vessel)[1]) in table.columns and table[name].isna().all()
    }
    if without == set(Vessel):
        raise _fault("no vessel has strata")
    if _ANY_RISK not in table.columns:
        return _ordered(without | set(stated))
    stated_too = without | set(stated)
    if stated_too != set(Vessel) and _is_maximum(table, stated_too):
        return _ordered(stated_too)
    above = table[RISKS].to_numpy() > table[[_ANY_RISK]].to_numpy() + _PRINTED
    least = without | {
        vessel for vessel, is_above in zip(Vessel, above.any(axis=0), strict=True) if is_above
    }
    if least == set(Vessel) or not _is_maximum(table, least):
        raise _fault(f"{_ANY_RISK} is not the maximum of the vessels that are not experimental")
    return _ordered(least)


def refuse_other(table: pd.DataFrame, bundle: Manifest) -> None:
    """Raises: SetupFault, `manifest_invalid`: the scores are not of this bundle: its name, what it
    counts for any vessel, or its strata."""
    fault = _fault("the scores are of another bundle")
    if only_bundle(table) != (bundle.name, bundle.version):
        raise fault
    experimental = {task.vessel for task in bundle.tasks if task.is_experimental}
    if _ANY_RISK in table.columns and not _is_maximum(table, experimental):
        raise fault
    for scope, cuts in cut_pairs(bundle).items():
        risk, stratum = _columns(scope)
        if not {risk, stratum} <= set(table.columns):
            continue
        risks = table[risk].to_numpy(dtype=np.float64)
        differs = _places(table[stratum]) != classes(risks, cuts)
        is_clear = np.abs(risks[:, np.newaxis] - np.array(cuts)).min(axis=1) > _PRINTED
        if (differs & is_clear).any():
            raise fault


def _columns(scope: Scope) -> tuple[str, str]:
    if scope == ANY_VESSEL:
        return _ANY_RISK, _ANY_STRATUM
    return f"risk_{scope.lower()}", f"stratum_{scope.lower()}"


def _is_maximum(table: pd.DataFrame, experimental: set[Vessel]) -> bool:
    largest = table[RISKS].to_numpy()[:, counted(tuple(experimental))].max(axis=1)
    return bool((np.abs(largest - table[_ANY_RISK].to_numpy()) <= _PRINTED).all())


def _ordered(vessels: set[Vessel]) -> tuple[Vessel, ...]:
    return tuple(vessel for vessel in Vessel if vessel in vessels)


def _places(words: "pd.Series[str]") -> "np.ndarray[tuple[int, ...], np.dtype[np.int64]]":
    return np.array([-1 if pd.isna(word) else _PLACES.get(word, -1) for word in words], np.int64)


def _cuts_between(scope: Scope, risks: Array, words: "pd.Series[str]") -> tuple[float, float]:
    place = _places(words)
    beyond = float(np.nextafter(risks.max(), np.inf))
    high = risks[place == 2].min(initial=beyond)
    low = risks[place == 1].min(initial=high)
    if (place < 0).any() or not np.array_equal(classes(risks, (low, high)), place):
        raise _fault(f"{scope}: the strata do not rise with the risk")
    return float(low), float(high)


def _fault(fact: str) -> SetupFault:
    return SetupFault(ReasonCode.MANIFEST_INVALID, fact)
