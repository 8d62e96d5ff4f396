"""The page as a document: what it says, what it must never hold, and how it is built."""

import itertools
import re
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import html

from ecgbatch.report.charts import axis, distribution, percent, shares, stacked
from ecgbatch.report.numbers import Numbers
from ecgbatch.report.page import render
from ecgbatch.report.spans import daily, hourly, sums
from ecgbatch.report.view import view_of
from ecgbatch.report.wording import days, duration
from ecgbatch.store.reporting import Period
from ecgbatch.terms import DEMONSTRATION_NOTICE, counted
from tests.support.report_numbers import SINCE, entry, nothing, numbers

_PERIODS = st.builds(
    lambda length: Period(SINCE, SINCE.fromordinal(SINCE.toordinal() + length)),
    st.integers(0, 4000),
)


def _page(of: Numbers) -> html.HtmlElement:
    return html.fromstring(render(view_of(of)))


def _text(of: Numbers) -> str:
    return " ".join(_page(of).text_content().split())


def test_says_since_when_the_champion_scores_and_nothing_of_a_share_of_none() -> None:
    text = _text(numbers())
    assert text.count("champion since 2026-11-19 07:05") == 2
    assert "9 % of 308 results" in text
    former = replace(numbers().bundles[0], is_champion=False, since=None)
    assert "(former champion)" in _text(replace(numbers(), bundles=[former]))
    assert "- of" not in _text(nothing())


def test_one_is_not_said_in_the_plural() -> None:
    assert [counted(number, "row") for number in (0, 1, 2000)] == ["0 rows", "1 row", "2,000 rows"]
    (one,) = numbers().hours[:1]
    assert "busiest hour: 1 result " in _text(replace(numbers(), hours=[replace(one, results=1)]))


def test_says_what_was_counted_and_what_low_means() -> None:
    text = _text(numbers())
    assert "ECG report, 16 to 29 November 2026" in text
    assert "busiest hour: 22 results" in text
    assert "low does not exclude disease" in text
    assert "Low does not exclude disease." in text
    assert "96.1 % (94.0 to 97.5)" in text
    assert "A PDF is a picture without samples" in text
    assert "LM (experimental)" in text
    assert "56 ECGs scored in this period, the 2 with the highest risk below" in text
    assert "2025-02-01 low" in text
    assert "The file is not there any more" in text


@pytest.mark.parametrize("is_clinical", [False, True])
def test_a_demonstration_is_called_one_wherever_scores_are(is_clinical: bool) -> None:
    page = _page(numbers(is_clinical=is_clinical))
    places = page.xpath(
        "//*[contains(@class, 'warning')]/ancestor::*[self::header or self::section]"
    )
    names = {place.get("id", "header") for place in places}
    assert names == (set() if is_clinical else {"header", "bundle-1", "worklist"})
    assert (DEMONSTRATION_NOTICE in page.text_content()) is not is_clinical


def test_shares_add_up_over_the_strata_of_a_task() -> None:
    rows = _page(numbers()).xpath("//section[@id='bundle-1']//tbody[1]/tr")
    counted = [int(row.xpath("string(td[3])").replace(",", "")) for row in rows]
    assert counted == [56, 84, 140]
    assert [row.xpath("string(td[4])") for row in rows] == ["20 %", "30 %", "50 %"]


def test_files_add_up_to_their_sums() -> None:
    rows = _page(numbers()).xpath("//section[@id='files']//table")[0]
    for column in ("td[2]", "td[5]"):
        body = [
            int(one.xpath(f"string({column})").replace(",", ""))
            for one in rows.xpath(".//tbody/tr")
        ]
        foot = rows.xpath(f"string(.//tfoot/tr/{column})").replace(",", "")
        assert sum(body) == int(foot)


def test_without_worklist_names_no_ecg() -> None:
    text = render(view_of(replace(numbers(), worklist=None)))
    assert "ACC-1" not in text
    assert "<img" not in text
    assert "Recording 1" not in text
    assert "#worklist" not in text


def test_quiet_period_is_said_to_be_one() -> None:
    text = _text(nothing())
    assert "Nothing happened in this period" in text
    assert "No ECG of this period is on it." in text


def test_text_of_a_file_stays_text() -> None:
    planted = "</td><script>alert(1)</script>"
    full = numbers()
    assert full.worklist is not None
    entries = [replace(entry(1), accession=planted, sex=planted, high_vessels=planted)]
    page = _page(replace(full, worklist=replace(full.worklist, entries=entries)))
    assert not page.xpath("//script")
    assert planted in page.text_content()


@pytest.mark.parametrize("of", [numbers(), nothing()], ids=["full", "quiet"])
def test_needs_nothing_from_elsewhere(of: Numbers) -> None:
    page = _page(of)
    for name in ("src", "href", "action", "data", "poster", "srcset"):
        for value in page.xpath(f"//@{name}"):
            assert value.startswith(("#", "data:")), value
    assert not page.xpath("//script | //iframe | //object | //embed | //form")
    assert not page.xpath("//@*[starts-with(name(), 'on')]")
    style = page.xpath("string(//style)")
    assert "url(" not in style
    assert "@import" not in style
    policy = page.xpath("string(//meta[@http-equiv='Content-Security-Policy']/@content)")
    assert policy.startswith("default-src 'none'")


@pytest.mark.parametrize("of", [numbers(), nothing()], ids=["full", "quiet"])
def test_is_built_for_those_who_do_not_see_it(of: Numbers) -> None:
    page = _page(of)
    assert page.xpath("/html/@lang") == ["en"]
    levels = [int(one.tag[1]) for one in page.xpath("//h1 | //h2 | //h3 | //h4")]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert all(len(one.get("alt", "")) > 10 for one in page.xpath("//img"))
    assert all(len(one.get("aria-label", "")) > 10 for one in page.xpath("//svg[@role='img']"))
    assert page.xpath("//svg")
    assert all(one.get("scope") for one in page.xpath("//th"))
    assert not page.xpath("//div[@class='scroll']//table[not(caption)]")
    assert all(one.get("tabindex") == "0" for one in page.xpath("//*[@class='scroll']"))
    names = page.xpath("//@id")
    assert len(names) == len(set(names))
    for target in page.xpath("//a/@href"):
        assert target.removeprefix("#") in names


@given(_PERIODS)
def test_columns_cover_a_period_without_gap(period: Period) -> None:
    for spans in (daily(period), hourly(period)):
        assert spans.columns[0].start == period.from_at
        for before, after in zip(spans.columns, spans.columns[1:], strict=False):
            assert (after.start - before.start).total_seconds() == 3600 * before.hours
        assert spans.columns[-1].start < period.to_at
        assert 1 <= len(spans.labels()) <= 5
        assert len(spans.columns) <= 72


@given(_PERIODS, st.lists(st.floats(0, 1, exclude_max=True), max_size=30))
def test_nothing_is_lost_between_columns(period: Period, places: list[float]) -> None:
    length = period.to_at - period.from_at
    # A share next to 1 is rounded to the moment after the last.
    last = length - timedelta(microseconds=1)
    moments = [period.from_at + min(length * place, last) for place in places]
    for spans in (daily(period), hourly(period)):
        totals = sums(spans, [(moment, 1) for moment in moments])
        assert sum(totals) == len(moments)


@given(st.lists(st.tuples(st.integers(0, 9999), st.integers(0, 9999)), min_size=14, max_size=14))
def test_bars_stay_inside_and_are_as_high_as_their_numbers(pairs: list[tuple[int, int]]) -> None:
    spans = daily(numbers().period)
    layers = {"scored": [a for a, _ in pairs], "rejected": [b for _, b in pairs]}
    for chart in (stacked("t", spans, layers, "results"), shares("t", spans, layers)):
        for bar in chart.bars:
            assert bar.y >= -1e-6
            assert bar.y + bar.height <= 100 + 1e-6
    whole = dict.fromkeys(range(14), 0.0)
    for bar in shares("t", spans, layers).bars:
        whole[int(bar.x / (100 / 14))] += bar.height
    for place, pair in enumerate(pairs):
        assert whole[place] == pytest.approx(100 if sum(pair) else 0)


@given(st.integers(0, 10**7))
def test_axis_reaches_its_largest_number_and_not_far_beyond(largest: int) -> None:
    top, ticks = axis(largest)
    assert top >= largest
    assert top <= max(1, 2 * largest)
    assert [int(tick.text.replace(",", "")) * 100 / top for tick in ticks] == [t.at for t in ticks]


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_no_share_is_rounded_to_none_or_all(part: int, whole: int) -> None:
    shown = percent(min(part, whole), whole)
    assert (shown == "0 %") == (part == 0)
    assert (shown == "100 %") == (part >= whole)


def test_cuts_of_a_distribution_divide_its_bands() -> None:
    chart = distribution("RCA", [1] * 20, (0.1, 0.6))
    assert [(band.kind, band.x, band.width) for band in chart.bands] == [
        ("low", 0.0, 10.0),
        ("intermediate", 10.0, 50.0),
        ("high", 60.0, 40.0),
    ]
    assert distribution("LM", [0] * 20, None).bands == ()


@pytest.mark.parametrize(
    ("since", "until", "shown"),
    [
        ("2026-11-27", "2026-11-27", "27 November 2026"),
        ("2026-11-20", "2026-11-27", "20 to 27 November 2026"),
        ("2026-10-20", "2026-11-27", "20 October to 27 November 2026"),
        ("2025-12-31", "2026-01-01", "31 December 2025 to 1 January 2026"),
    ],
)
def test_days_in_words(since: str, until: str, shown: str) -> None:
    assert days(Period(SINCE.fromisoformat(since), SINCE.fromisoformat(until))) == shown


def test_durations_in_words() -> None:
    assert [duration(one) for one in (None, 0.84, 42.4, 200, 7500)] == [
        "\N{EN DASH}",
        "0.8 s",
        "42 s",
        "3 min 20 s",
        "2 h 5 min",
    ]
    assert not re.search(r"\b60 s", duration(59.7))
