"""Which ECG stands for a CCTA."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from training.data.cells import Moment
from training.data.index_ecg import Candidate, Gap, Mode, NotIndex, choose, gap_between

_at = datetime.fromisoformat
_CCTA = _at("2020-06-15 12:00")
_MOST = 30.0


def moment(text: str) -> Moment:
    return Moment(_at(text), is_day=len(text) == 10)


def candidate(
    ecg: str, ccta: str = "2020-06-15", stent: str | None = None, key: str = "k"
) -> Candidate:
    ecg_at, ccta_at = moment(ecg), moment(ccta)
    revascularised_at = None if stent is None else moment(stent)
    return Candidate(("p", ccta), key, ecg_at, gap_between(ecg_at, ccta_at), revascularised_at)


def chosen(candidates: list[Candidate], mode: Mode = "nearest_before") -> list[int]:
    verdicts = choose(candidates, mode, _MOST)
    return [place for place, verdict in enumerate(verdicts) if verdict is None]


def test_the_last_ecg_before_the_ccta_stands_for_it() -> None:
    ecgs = [candidate(day) for day in ("2020-06-01", "2020-06-14", "2020-06-16", "2020-05-15")]
    assert chosen(ecgs) == [1]
    assert choose(ecgs, "nearest_before", _MOST) == [
        NotIndex.ANOTHER,
        None,
        NotIndex.AFTER,
        NotIndex.TOO_FAR,
    ]


def test_on_one_day_known_by_the_day_alone_an_ecg_is_not_after_its_ccta() -> None:
    assert chosen([candidate("2020-06-15 17:00")]) == [0]
    assert chosen([candidate("2020-06-15 17:00", "2020-06-15 16:00")]) == []


@pytest.mark.parametrize(
    ("ecg", "stent", "is_index"),
    [
        ("2020-06-10", "2020-06-11", True),
        ("2020-06-10", "2020-06-10", False),
        ("2020-06-10 08:00", "2020-06-10 09:00", True),
        ("2020-06-10 08:00", "2020-06-10", False),
        ("2020-06-10", "2019-01-01", False),
    ],
)
def test_an_ecg_at_or_after_a_revascularisation_is_never_an_index_ecg(
    ecg: str, stent: str, is_index: bool
) -> None:
    for mode in ("nearest_before", "nearest", "all"):
        assert chosen([candidate(ecg, stent=stent)], mode) == [0] * is_index


def test_before_a_revascularisation_an_earlier_ecg_takes_the_place_of_a_nearer_one() -> None:
    stent = "2020-06-12"
    assert chosen([candidate("2020-06-01", stent=stent), candidate("2020-06-13", stent=stent)]) == [
        0
    ]


def test_a_distance_without_direction_serves_nearest_and_all_but_not_nearest_before() -> None:
    one = Candidate("c", "k", None, Gap(3.0, is_ordered=False), None)
    assert choose([one], "nearest_before", _MOST) == [NotIndex.ORDER_UNKNOWN]
    assert choose([one], "nearest", _MOST) == [None]
    assert choose([one], "all", _MOST) == [None]


def test_an_ecg_without_any_date_counts_only_where_all_do() -> None:
    one = Candidate("c", "k", None, None, None)
    assert choose([one], "nearest", _MOST) == [NotIndex.UNDATED]
    assert choose([one], "all", _MOST) == [None]


def test_with_a_revascularisation_an_undated_ecg_is_not_known_to_be_before_it() -> None:
    one = Candidate("c", "k", None, None, moment("2020-06-01"))
    assert choose([one], "all", _MOST) == [NotIndex.REVASCULARISED]


@st.composite
def cohorts(draw: st.DrawFn) -> list[Candidate]:
    """ECGs up to 40 days around one of three CCTAs of their own, keys unique."""
    drawn: list[Candidate] = []
    for number in range(draw(st.integers(1, 12))):
        ccta = draw(st.integers(0, 2))
        hours = draw(st.integers(-960, 960))
        stent_hours: Any = draw(st.none() | st.integers(-960, 960))
        ecg_at = Moment(_CCTA - timedelta(hours=hours), is_day=False)
        stent = None
        if stent_hours is not None:
            stent = Moment(_CCTA + timedelta(hours=stent_hours), is_day=False)
        gap = gap_between(ecg_at, Moment(_CCTA, is_day=False))
        drawn.append(Candidate(ccta, f"{number:02d}", ecg_at, gap, stent))
    return drawn


@given(cohorts())
@hypothesis_settings(max_examples=100, deadline=None)
def test_nearest_before_is_what_a_search_over_all_ecgs_of_the_ccta_finds(
    ecgs: list[Candidate],
) -> None:
    expected = set()
    for ccta in {one.ccta for one in ecgs}:
        fit = [
            (_CCTA - one.ecg_at.at, one.key, place)
            for place, one in enumerate(ecgs)
            if one.ccta == ccta
            and one.ecg_at is not None
            and timedelta() <= _CCTA - one.ecg_at.at <= timedelta(days=_MOST)
            and (one.revascularised_at is None or one.ecg_at.at < one.revascularised_at.at)
        ]
        if fit:
            expected.add(min(fit)[2])
    assert set(chosen(ecgs)) == expected


@given(cohorts(), st.randoms(use_true_random=False), st.sampled_from(["nearest_before", "nearest"]))
@hypothesis_settings(max_examples=100, deadline=None)
def test_the_choice_does_not_depend_on_the_order_of_the_manifest(
    ecgs: list[Candidate], random: Any, mode: Mode
) -> None:
    shuffled = list(ecgs)
    random.shuffle(shuffled)
    keys = {ecgs[place].key for place in chosen(ecgs, mode)}
    assert keys == {shuffled[place].key for place in chosen(shuffled, mode)}
    assert len({ecgs[place].ccta for place in chosen(ecgs, mode)}) == len(keys)
