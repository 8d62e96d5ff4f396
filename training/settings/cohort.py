"""The synthetic cohort: `[cohort]`."""

from datetime import date
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ecgbatch.terms import Vessel
from training.settings.base import (
    Count,
    Name,
    Positive,
    Seed,
    Settings,
    Share,
    Size,
    read_toml,
    refuse_other_vessels,
    validated,
)

FiveSizes = tuple[Size, Size, Size, Size, Size]
Vector = tuple[float, float, float]


class EffectSettings(Settings):
    """How strongly disease shows in the ECG, and what resembles it.

    Attributes:
        by_grade: factor per grade, from none to occluded; by_vessel: factor per vessel.
        q_mv, st_mv, t_mv: mean size at factor 1 of the dipole added to each part of the beat.
        visibility_shape: shape of the gamma distribution (mean 1) of how much a lesion shows;
            small: many severe lesions show nothing.
        nonspecific_*: SD per axis of changes that have nothing to do with a vessel.
        limit_mv: the largest change of QRS and T; of the ST segment half of it.
        direction: where a vessel's wall lies, as x to the left, y to the feet, z to the back, of
            any length; a vessel that is not named follows `heart.DIRECTION`. Two vessels in
            opposite directions are tasks in conflict.
    """

    by_grade: FiveSizes
    by_vessel: dict[Vessel, Size]
    q_mv: Size
    st_mv: Size
    t_mv: Size
    visibility_shape: Positive
    nonspecific_q_mv: Size
    nonspecific_st_mv: Size
    nonspecific_t_mv: Size
    limit_mv: Positive
    direction: dict[Vessel, Vector] = {}

    @model_validator(mode="after")
    def _names_every_vessel(self) -> Self:
        refuse_other_vessels(self.by_vessel, "by_vessel")
        if any(not any(vector) for vector in self.direction.values()):
            raise ValueError("direction must not be zero")
        return self


class DeviceSettings(Settings):
    """An electrocardiograph and the site it stands at.

    Attributes:
        share: of the ECGs, relative to the other devices.
        noise_gain: factor on wander, muscle noise and mains, over the cohort's.
        mains_gain: factor on the mains alone, 0 for a device with a notch filter.
        mains_hz: frequency of the mains at the site.
        high_pass_hz, low_pass_hz: corner frequencies of its filters; None: no such filter.
        step_uv: one quantisation step of a stored lead.
        gain: systematic error of its amplifier, a factor.
    """

    name: Name
    site: Name
    share: Positive = 1.0
    noise_gain: Size = 1.0
    mains_gain: Size = 1.0
    mains_hz: Annotated[float, Field(ge=50.0, le=60.0)] = 50.0
    high_pass_hz: Annotated[float, Field(ge=0.01, le=1.0)] | None = None
    low_pass_hz: Annotated[float, Field(ge=20.0, le=240.0)] | None = None
    step_uv: Annotated[float, Field(ge=0.5, le=20.0)] = 5.0
    gain: Annotated[float, Field(ge=0.5, le=2.0)] = 1.0


class VisitSettings(Settings):
    """When a patient's ECGs are made, around the CCTA.

    Attributes:
        enrolment_days: the CCTAs lie within so many days from `first_day`.
        before_share: of a patient's ECGs after the first, made before the CCTA; the first always
            is. The others are made during follow-up.
        usual_gap_days: mean time from an ECG to its CCTA (exponential).
        far_share, far_gap_days: of the ECGs before it, made long before, with this mean.
    """

    enrolment_days: Positive = 365.0
    before_share: Share = 0.6
    usual_gap_days: Positive = 6.0
    far_share: Share = 0.10
    far_gap_days: Positive = 200.0


class OutcomeSettings(Settings):
    """What happens after the CCTA. Burden: how many vessels are severely narrowed, lesser grades
    counted in part.

    Attributes:
        revascularised_share: of the patients with a severe or occluded vessel.
        revascularised_days: mean time from the CCTA to it (exponential).
        earlier_share: of all patients, those revascularised before the CCTA.
        relief: share of the changes of ST segment and T wave that is gone afterwards.
        infarctions_per_year, deaths_per_year: hazards at burden 0 and age 60.
        infarction_by_burden, infarction_by_decade, death_by_burden, death_by_decade: added to the
            hazard's logarithm per unit of burden and per ten years of age.
        fewest_days, most_days: follow-up ends between them, evenly spread.
    """

    revascularised_share: Share = 0.45
    revascularised_days: Positive = 20.0
    earlier_share: Share = 0.03
    relief: Share = 0.5
    infarctions_per_year: Size = 0.010
    infarction_by_burden: float = 0.70
    infarction_by_decade: float = 0.20
    deaths_per_year: Size = 0.010
    death_by_burden: float = 0.30
    death_by_decade: float = 0.80
    fewest_days: Positive = 300.0
    most_days: Positive = 1100.0

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.fewest_days > self.most_days:
            raise ValueError("fewest_days must not exceed most_days")
        return self


class PretestSettings(Settings):
    """The clinician's pre-test probability: a noisy logistic function.

    Attributes:
        at_sixty: log odds of a woman of 60 without disease.
        by_decade, male, by_burden: added per ten years, for men, per unit of burden.
        noise_sd: of the log odds.
    """

    at_sixty: float = -2.6
    by_decade: float = 0.45
    male: float = 0.70
    by_burden: float = 0.35
    noise_sd: Size = 0.50


class StatementSettings(Settings):
    """What the device says of the ECG: "normal" where little is changed.

    Attributes:
        half_at_mv: size of the changes at which half of the ECGs are called normal.
        width_mv: of the logistic curve around it.
        missing_share: of the ECGs, those without a word on it.
    """

    half_at_mv: Size = 0.18
    width_mv: Positive = 0.03
    missing_share: Share = 0.05


class CohortSettings(Settings):
    """The synthetic cohort.

    Attributes:
        grade_shares: per vessel the share of each grade, from none to occluded; sums to 1.
        shared_burden, age_burden: share of the variance of the latent disease burden that a
            patient's vessels have in common, and that age explains.
        not_assessable_share: share of vessels whose label is missing.
        first_day: the first CCTA is not made before it.
        noise_gain: factor on wander, muscle noise and mains of every device.
        mains_hz: of the one device that there is where `devices` names none.
        ecgs_per_patient, most_ecgs_per_patient: fewest and most ECGs of a patient; None: all have
            equally many.
        another_ecg_share: beyond the fewest, a patient has one more with this probability, and
            again, up to the most.
        devices: none: one without filters, in steps of 5 uV.
        muse_share: of the ECGs, those written as MUSE exports; the others are WFDB records.
    """

    seed: Seed
    n_patients: Count
    ecgs_per_patient: Count
    first_day: date
    age_mean: Annotated[float, Field(ge=30.0, le=90.0)]
    age_sd: Positive
    female_share: Share
    shared_burden: Share
    age_burden: Share
    not_assessable_share: Share
    noise_gain: Size
    mains_hz: Annotated[float, Field(ge=50.0, le=60.0)]
    grade_shares: dict[Vessel, FiveSizes]
    effect: EffectSettings
    most_ecgs_per_patient: Count | None = None
    another_ecg_share: Share = 0.6
    devices: tuple[DeviceSettings, ...] = ()
    muse_share: Share = 0.0
    visits: VisitSettings = VisitSettings()
    outcome: OutcomeSettings = OutcomeSettings()
    pretest: PretestSettings = PretestSettings()
    statement: StatementSettings = StatementSettings()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        most = self.most_ecgs_per_patient
        if most is not None and most < self.ecgs_per_patient:
            raise ValueError("most_ecgs_per_patient must not be below ecgs_per_patient")
        names = [device.name for device in self.devices]
        if len(set(names)) < len(names):
            raise ValueError("devices must have names of their own")
        return self

    @model_validator(mode="after")
    def _shares_add_up(self) -> Self:
        refuse_other_vessels(self.grade_shares, "grade_shares")
        if any(abs(sum(shares) - 1.0) > 1e-9 for shares in self.grade_shares.values()):
            raise ValueError("grade_shares must sum to 1 for each vessel")
        if self.shared_burden + self.age_burden > 1.0:
            raise ValueError("shared_burden and age_burden must not exceed 1 together")
        return self


class _WithCohort(BaseModel):
    """Other parts of the file are somebody else's."""

    model_config = ConfigDict(extra="ignore")

    cohort: CohortSettings


def load_cohort(path: Path) -> CohortSettings:
    """The part `[cohort]` of a settings file, whatever else it holds.

    Raises:
        SetupFault: `settings_invalid`, naming the first key at fault.
    """
    return validated(_WithCohort, read_toml(path)).cohort
