"""The synthetic cohort: `[cohort]`."""

from datetime import date
from typing import Annotated, Self

from pydantic import Field, model_validator

from ecgbatch.terms import Vessel
from training.settings.base import (
    Count,
    Positive,
    Seed,
    Settings,
    Share,
    Size,
    refuse_other_vessels,
)

FiveSizes = tuple[Size, Size, Size, Size, Size]


class EffectSettings(Settings):
    """How strongly disease shows in the ECG, and what resembles it.

    Attributes:
        by_grade: factor per grade, from none to occluded; by_vessel: factor per vessel.
        q_mv, st_mv, t_mv: mean size at factor 1 of the dipole added to each part of the beat.
        visibility_shape: shape of the gamma distribution (mean 1) of how much a lesion shows;
            small: many severe lesions show nothing.
        nonspecific_*: SD per axis of changes that have nothing to do with a vessel.
        limit_mv: the largest change of QRS and T; of the ST segment half of it.
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

    @model_validator(mode="after")
    def _names_every_vessel(self) -> Self:
        refuse_other_vessels(self.by_vessel, "by_vessel")
        return self


class CohortSettings(Settings):
    """The synthetic cohort.

    Attributes:
        grade_shares: per vessel the share of each grade, from none to occluded; sums to 1.
        shared_burden, age_burden: share of the variance of the latent disease burden that a
            patient's vessels have in common, and that age explains.
        not_assessable_share: share of vessels whose label is missing.
        first_day: of the year in which the first ECG of each patient is dated.
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

    @model_validator(mode="after")
    def _shares_add_up(self) -> Self:
        refuse_other_vessels(self.grade_shares, "grade_shares")
        if any(abs(sum(shares) - 1.0) > 1e-9 for shares in self.grade_shares.values()):
            raise ValueError("grade_shares must sum to 1 for each vessel")
        if self.shared_burden + self.age_burden > 1.0:
            raise ValueError("shared_burden and age_burden must not exceed 1 together")
        return self
