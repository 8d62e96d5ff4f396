"""bundle.json is strict, and its refusals name the key."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgbatch.bundle.manifest import parse_manifest
from ecgbatch.bundle.operating_points import AnyVessel
from ecgbatch.errors import SetupFault
from ecgbatch.terms import ReasonCode, Stratum, Vessel
from tests.support.bundles import cuts, small_manifest, task

Document = dict[str, Any]
TEXT = small_manifest().to_json().decode()


def _set(path: str, value: object) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        *parents, last = path.split(".")
        place: Any = document
        for part in parents:
            place = place[int(part) if part.isdigit() else part]
        place[int(last) if last.isdigit() else last] = value

    return change


def _without(key: str) -> Callable[[Document], None]:
    return lambda document: document.pop(key)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_set("surprise", 1), "surprise: unknown key"),
        (_set("tasks.2.surprise", 1), "tasks.2.surprise: unknown key"),
        (_set("preprocessing.steps.2.x", 1), "preprocessing.steps.2.zscore.x: unknown key"),
        (_set("tasks.0.cuts.low.value", "0.2"), "tasks.0.cuts.low.value"),
        (_set("tasks.0.cuts.low.value", 1.2), "tasks.0.cuts.low.value"),
        (_set("tasks.0.cuts.low.kind", "specificity"), "tasks.0.cuts"),
        (_set("tasks.0.cuts.high.kind", "absolute"), "tasks.0.cuts"),
        (_set("tasks.0.cuts.low.kind", "absolute"), "the target of an absolute cut is its value"),
        (_set("tasks.0.cuts.low.ci", [0.96, 0.99]), "tasks.0.cuts.low"),
        (_set("tasks.0.cuts.low.date", "2026-02-30"), "tasks.0.cuts.low"),
        (_set("tasks.0.cuts.low.n_positives", 0), "tasks.0.cuts.low.n_positives"),
        (_set("tasks.0.cuts", None), "tasks.0: state either cuts or cuts_absent_reason"),
        (_set("tasks.0.vessel", "LM"), "RCA, LM, LAD, LCX, in this order"),
        (_set("tasks", []), "in this order"),
        (_set("tasks.0.is_experimental", 1), "tasks.0.is_experimental"),
        (_set("tasks.0.calibrator", {"kind": "platt", "a": -1.0, "b": 0.0}), "tasks.0.calibrator"),
        (_set("tasks.0.calibrator", {"kind": "magic"}), "tasks.0.calibrator"),
        (_set("any_vessel.rule", "mean"), "any_vessel.rule"),
        (_set("near_cut", 1e999), "NaN or Infinity"),
        (_set("near_cut", -0.1), "near_cut"),
        (_set("golden_tolerance", {"fp64": 1e-4}), "golden_tolerance"),
        (_set("golden_tolerance", {"fp32": 0.0}), "golden_tolerance"),
        (_set("architecture.n_classes", 5), "the head has one row per vessel"),
        (_set("architecture.in_channels", 8), "the net takes the twelve leads"),
        (_set("architecture.use_bn", None), "architecture.use_bn"),
        (_set("name", "CCTA"), "demonstration"),
        (_set("schema", 2), "schema"),
        (_without("schema"), "schema: missing key"),
        (_without("intended_use"), "intended_use: missing key"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(
    change: Callable[[Document], None], named: str
) -> None:
    document = json.loads(TEXT)
    change(document)
    with pytest.raises(SetupFault) as fault:
        parse_manifest(json.dumps(document).encode())
    assert fault.value.reason is ReasonCode.BUNDLE_INVALID
    assert named in fault.value.detail


def test_a_low_cut_may_be_a_stated_probability() -> None:
    document = json.loads(TEXT)
    document["tasks"][0]["cuts"]["low"] |= {"kind": "absolute", "target": 0.2}
    read = parse_manifest(json.dumps(document).encode()).tasks[0].cuts
    assert read is not None
    assert (read.low.kind, read.stratum(0.19)) == ("absolute", Stratum.LOW)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (TEXT.replace('"near_cut": 0.0', '"near_cut": NaN'), "NaN or Infinity"),
        (TEXT.replace('"near_cut": 0.0', '"near_cut": -Infinity'), "NaN or Infinity"),
        (TEXT.replace('"near_cut": 0.0', '"near_cut": 1e999'), "near_cut"),
        (TEXT.replace('"near_cut": 0.0', '"near_cut": 0.0, "near_cut": 0.1'), "key near_cut"),
        (TEXT.replace('"value": 0.6', '"value": 0.6, "value": 0.7', 1), "duplicate key value"),
        (TEXT[:-20], "not UTF-8 JSON"),
        ("[" * 100_000, "not UTF-8 JSON"),
        ("1" * 5000, "not UTF-8 JSON"),
        ("", "not UTF-8 JSON"),
        ("[]", "top level"),
        (TEXT.replace('"near_cut"', '"Jane Doe 1970-01-01"'), "(unprintable name)"),
    ],
)
def test_text_that_a_lenient_parser_takes_is_refused(text: str, named: str) -> None:
    assert text != TEXT
    with pytest.raises(SetupFault) as fault:
        parse_manifest(text.encode())
    assert fault.value.reason is ReasonCode.BUNDLE_INVALID
    assert named in fault.value.detail
    assert "Jane" not in str(fault.value)


def test_bytes_that_are_not_utf8_are_refused() -> None:
    with pytest.raises(SetupFault, match="not UTF-8"):
        parse_manifest(TEXT.encode("utf-16"))


@pytest.mark.parametrize("high", [0.2, 0.1])
def test_inverted_cuts_are_refused_by_task(high: float) -> None:
    document = json.loads(TEXT)
    document["tasks"][2]["cuts"]["high"]["value"] = high
    with pytest.raises(SetupFault, match="LAD") as fault:
        parse_manifest(json.dumps(document).encode())
    assert fault.value.reason is ReasonCode.CUTS_INVERTED
    with pytest.raises(SetupFault, match="any_vessel"):
        AnyVessel(cuts=cuts(0.2, high))


def test_an_experimental_task_may_lack_cuts_and_another_may_not() -> None:
    uncut = {"cuts": None, "cuts_absent_reason": "too few positives"}
    tasks = [task(vessel) for vessel in Vessel]
    tasks[1] = task(Vessel.LM, **uncut)
    small_manifest(tasks=tuple(tasks)).refuse_missing_cuts()
    tasks[3] = task(Vessel.LCX, **uncut)
    with pytest.raises(SetupFault, match="LCX") as fault:
        small_manifest(tasks=tuple(tasks)).refuse_missing_cuts()
    assert fault.value.reason is ReasonCode.CUTS_MISSING


def test_bounds_and_strata_are_the_same_cuts() -> None:
    points = cuts(0.2, 0.6)
    edges = [points.bounds(stratum) for stratum in Stratum]
    assert edges == [(0.0, 0.2), (0.2, 0.6), (0.6, 1.0)]
    for stratum, (start, _) in zip(Stratum, edges, strict=True):
        assert points.stratum(start) is stratum


def test_a_stratum_is_stated_once() -> None:
    entry = {"task": "RCA", "stratum": "low", "share": 0.4, "is_synthetic": True}
    document = json.loads(TEXT) | {"strata": [entry, entry]}
    with pytest.raises(SetupFault, match="stated twice"):
        parse_manifest(json.dumps(document).encode())
    document["strata"][1] = entry | {"task": "any_vessel"}
    assert len(parse_manifest(json.dumps(document).encode()).strata) == 2


@settings(max_examples=150, deadline=None)
@given(
    place=st.integers(0, len(TEXT) - 1),
    length=st.integers(0, 12),
    inserted=st.text(alphabet='{}[]",:0123456789.eE-NaIntrufalsx \n', max_size=6),
)
def test_an_edited_manifest_parses_or_is_refused_with_a_reason(
    place: int, length: int, inserted: str
) -> None:
    text = TEXT[:place] + inserted + TEXT[place + length :]
    try:
        manifest = parse_manifest(text.encode())
    except SetupFault as fault:
        assert fault.detail  # noqa: PT017 - both ends are allowed, nothing else
    else:
        assert parse_manifest(manifest.to_json()) == manifest
