"""Lead names, derived limb leads and the signal digest."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgbatch.errors import InputFault, Refusal
from ecgbatch.readers.digests import signal_digest
from ecgbatch.readers.leads import n_usable, stack_leads, standard_name
from ecgbatch.readers.scaling import StoredLead, mv_per_unit, plain_number
from ecgbatch.records import Millivolts
from ecgbatch.terms import LEADS, ReasonCode

LIMB = LEADS[:6]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((), 0),
        (("I", None, "I"), 1),
        (("I", "V1"), 2),
        (("aVR", "III"), 6),
        (("I", "II", *LEADS[6:]), 12),
        (LEADS, 12),
    ],
)
def test_leads_that_can_be_derived_are_usable(names: tuple[str | None, ...], expected: int) -> None:
    assert n_usable(names) == expected


@pytest.mark.parametrize(
    ("text", "name"),
    [
        *((lead, lead) for lead in LEADS),
        *((lead.lower(), lead) for lead in LEADS),
        *((f"MDC_ECG_LEAD_{lead.upper()}", lead) for lead in LEADS),
        ("MDC_ECG_LEAD_aVR", "aVR"),
        ("NOM_ECG_LEAD_V1", "V1"),
        ("Lead I (Einthoven)", "I"),
        ("Lead II", "II"),
        ("ECG V6", "V6"),
        (" avf\t", "aVF"),
        ("aVR, augmented voltage, right", "aVR"),
        *(
            (other, None)
            for other in (
                "-aVR",
                "V7",
                "V3R",
                "vx",
                "X",
                "",
                "IV",
                "V",
                "aV",
                "I II",
                "V1, inverted",
            )
        ),
        ("sig 0, fmt 8", None),
        ("ABP", None),
    ],
)
def test_vendor_spelling_maps_to_the_standard_name(text: str, name: str | None) -> None:
    assert standard_name(text) == name


@given(st.text(max_size=40))
@settings(max_examples=200, deadline=None)
def test_any_text_is_a_standard_name_or_none(text: str) -> None:
    assert standard_name(text) in {*LEADS, None}


def _limb_leads(lead_i: Millivolts, lead_ii: Millivolts) -> dict[str, Millivolts]:
    """By the textbook: Einthoven and Goldberger from the electrodes' potentials."""
    right, left, foot = np.zeros_like(lead_i), lead_i, lead_ii
    return {
        "I": left - right,
        "II": foot - right,
        "III": foot - left,
        "aVR": right - (left + foot) / 2,
        "aVL": left - (right + foot) / 2,
        "aVF": foot - (right + left) / 2,
    }


samples = st.lists(st.floats(-5, 5), min_size=4, max_size=4).map(np.array)


@given(lead_i=samples, lead_ii=samples, pair=st.permutations(LIMB).map(lambda names: names[:2]))
@settings(max_examples=150, deadline=None)
def test_any_two_limb_leads_give_the_other_four(
    lead_i: Millivolts, lead_ii: Millivolts, pair: list[str]
) -> None:
    truth = _limb_leads(lead_i, lead_ii)
    stacked = stack_leads((name, truth[name]) for name in pair)
    assert stacked.names == LIMB
    assert set(stacked.derived) == set(LIMB) - set(pair)
    for row, name in enumerate(LIMB):
        np.testing.assert_allclose(stacked.signal[row], truth[name], atol=1e-9)


def test_stored_limb_leads_are_kept_as_stored() -> None:
    stacked = stack_leads([("I", np.ones(2)), ("II", np.ones(2)), ("aVR", np.full(2, 9.0))])
    assert stacked.signal[stacked.names.index("aVR")].tolist() == [9.0, 9.0]
    assert "aVR" not in stacked.derived


def test_one_limb_lead_derives_nothing_and_missing_chest_leads_stay_missing() -> None:
    stacked = stack_leads([("V5", np.ones(2)), ("II", np.zeros(2))])
    assert (stacked.names, stacked.derived) == (("II", "V5"), ())


def test_repeated_and_unequal_leads_are_refused() -> None:
    for leads, reason in (
        ([("I", np.ones(2)), ("I", np.ones(2))], ReasonCode.LEAD_DUPLICATED),
        ([("I", np.ones(2)), ("II", np.ones(3))], ReasonCode.LEAD_LENGTHS_DIFFER),
    ):
        with pytest.raises(InputFault) as caught:
            stack_leads(leads)
        assert caught.value.reason is reason
    with pytest.raises(Refusal):
        stack_leads([])


def _lead(name: str, counts: list[int], gain: float = 0.001) -> StoredLead:
    stored = np.array(counts)
    return StoredLead(name, stored, gain, stored * gain)


def test_signal_digest_depends_on_names_counts_gain_and_rate_alone() -> None:
    leads = [_lead("I", [1, 2]), _lead("V1", [3, 4])]
    digest = signal_digest(leads, 500)
    assert signal_digest(reversed(leads), 500.0) == digest
    assert signal_digest([_lead("I", [1, 2], 0.001 * (1 + 1e-13)), leads[1]], 500) == digest
    changed = [
        signal_digest(leads, 250),
        signal_digest(leads[:1], 500),
        signal_digest([_lead("I", [1, 3]), leads[1]], 500),
        signal_digest([_lead("II", [1, 2]), leads[1]], 500),
        signal_digest([_lead("I", [1, 2], 0.002), leads[1]], 500),
        signal_digest([_lead("I", [1]), _lead("V1", [2, 3, 4])], 500),
    ]
    assert len({digest, *changed}) == len(changed) + 1


@pytest.mark.parametrize(
    "text", ["1E3", "1e-5", "4,88", "nan", "inf", "", " 1", "0x10", "١", "1_0"]
)
def test_only_plain_decimal_numbers_are_numbers(text: str) -> None:
    assert plain_number(text) is None


def test_units_are_known_in_any_case_and_never_guessed() -> None:
    for unit, factor in (
        ("nV", 1e-6),
        ("UV", 1e-3),
        ("µV", 1e-3),
        ("μv", 1e-3),
        ("mV", 1),
        ("V", 1e3),
    ):
        assert mv_per_unit(unit) == factor
    for unit in ("", "pV", "mmHg"):
        with pytest.raises(InputFault):
            mv_per_unit(unit)


def test_rows_of_one_array_in_another_order_are_put_in_order() -> None:
    whole = np.arange(24.0).reshape(12, 2)
    names = (*LEADS[:4], LEADS[5], LEADS[4], *LEADS[6:])
    stacked = stack_leads(zip(names, whole, strict=True))
    assert np.array_equal(stacked.signal[[4, 5]], whole[[5, 4]])
    assert np.array_equal(stacked.signal[[0, 11]], whole[[0, 11]])
    in_order = stack_leads(zip(LEADS, whole, strict=True))
    assert np.array_equal(in_order.signal, whole)


def test_rows_of_a_wider_array_are_taken_without_what_lies_between() -> None:
    wide = np.arange(36.0).reshape(12, 3)
    stacked = stack_leads(zip(LEADS, wide[:, :2], strict=True))
    assert np.array_equal(stacked.signal, wide[:, :2])
