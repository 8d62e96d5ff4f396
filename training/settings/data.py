"""From a site's table to labelled ECGs: `[data]` and `[labels]`."""

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ecgbatch.terms import LEADS, Vessel
from training.settings.base import Count, Name, Positive, Settings, Size, refuse_other_vessels
from training.terms import Grade


class Columns(Settings):
    """Which column of the manifest holds what; None: the manifest does not have it.

    Attributes:
        patient, ecg_path: needed. Paths are relative to the root given on the command line.
        vessels: the column with the grade of each vessel; empty where `labels.binary` is used.
        ecg_at, ccta_at: when each was made; a day or a time.
        gap_days: CCTA minus ECG in days, where the manifest has it instead of the dates; see
            `gap_is`.
        revascularised_at: an ECG at or after it is never an index ECG.
        sex, age_years, device, site, statement_normal, pretest_probability: covariates. They are
            filled from the ECG's header where the manifest has none, but for the last.
        event_at: new myocardial infarction; death_at; followed_until: end of observation.
    """

    patient: Name
    ecg_path: Name
    vessels: dict[Vessel, Name] = {}
    ecg_at: Name | None = None
    ccta_at: Name | None = None
    gap_days: Name | None = None
    revascularised_at: Name | None = None
    sex: Name | None = None
    age_years: Name | None = None
    device: Name | None = None
    site: Name | None = None
    statement_normal: Name | None = None
    pretest_probability: Name | None = None
    event_at: Name | None = None
    death_at: Name | None = None
    followed_until: Name | None = None

    @model_validator(mode="after")
    def _all_vessels_or_none(self) -> Self:
        if self.vessels:
            refuse_other_vessels(self.vessels, "vessels")
            if len(set(self.vessels.values())) < len(self.vessels):
                raise ValueError("vessels names one column for two vessels")
        return self


class Arrays(Settings):
    """What `.npy` files without a sidecar hold; never guessed.

    Attributes:
        leads: names of the 12 rows (or columns).
    """

    sampling_frequency: Positive
    unit: Literal["mV", "uV", "V"]
    leads: Annotated[tuple[str, ...], Field(min_length=1)] = LEADS


class DataSettings(Settings):
    """Reading the manifest and choosing the ECGs.

    Attributes:
        encoding: of a CSV manifest; never guessed. UTF-8 with or without byte order mark.
        delimiter: of a CSV manifest.
        date_formats: `strptime` patterns beside ISO 8601, for example "%Y/%m/%d"; a value that
            several of them read differently is an error.
        gap_is: `signed`: positive where the ECG came before its CCTA. `absolute`: a distance,
            which cannot tell before from after.
        preset: preprocessing, by the name that `ecgbatch.preprocessing.spec.preset` knows.
        grades: the site's words, compared without case and surrounding blanks; any other word is
            an error that names the row.
        missing_words: cells that say "not assessed"; an empty cell always does.
        index_ecg: which ECG stands for a CCTA. `nearest_before`: the last one before it.
        most_gap_days: no ECG further from its CCTA is an index ECG.
        check_header: an ECG whose own header names another patient or time is excluded.
        time_tolerance_minutes: between the header's and the manifest's time, where both have one.
        processes: reader processes.
    """

    preset: Name
    columns: Columns
    grades: dict[str, Grade] = {grade.value: grade for grade in Grade}
    missing_words: tuple[str, ...] = ()
    encoding: Literal["utf-8", "gb18030"] = "utf-8"
    delimiter: Literal[",", ";", "\t"] = ","
    date_formats: tuple[Name, ...] = ()
    gap_is: Literal["signed", "absolute"] = "absolute"
    arrays: Arrays | None = None
    index_ecg: Literal["nearest_before", "nearest", "all"] = "nearest_before"
    most_gap_days: Size = 30.0
    check_header: bool = True
    time_tolerance_minutes: Size = 1440.0
    processes: Count = 2

    @property
    def most_gap(self) -> timedelta:
        return timedelta(days=self.most_gap_days)


class BinaryTask(Settings):
    """A label of two words, for an intermediate stage (another task before the vessels)."""

    name: Name
    column: Name
    positive: Annotated[tuple[str, ...], Field(min_length=1)]
    negative: Annotated[tuple[str, ...], Field(min_length=1)]


class LabelSettings(Settings):
    """What a positive is.

    Attributes:
        positive_from: the lowest grade that counts as positive, per vessel. `severe` is >= 70 %
            diameter stenosis or occlusion, `moderate` >= 50 %.
        binary: instead of the vessels, for an intermediate stage.
        experimental: vessels left out of any vessel and of the worklist.
        fewest_positives: a vessel with fewer in the train or the cut part becomes experimental.
    """

    positive_from: dict[Vessel, Literal[Grade.MODERATE, Grade.SEVERE]] = dict.fromkeys(
        Vessel, Grade.SEVERE
    )
    binary: tuple[BinaryTask, ...] = ()
    experimental: tuple[Vessel, ...] = (Vessel.LM,)
    fewest_positives: Count = 30

    @model_validator(mode="after")
    def _fits(self) -> Self:
        refuse_other_vessels(self.positive_from, "positive_from")
        if set(self.experimental) == set(Vessel):
            raise ValueError("at least one vessel must not be experimental")
        return self
