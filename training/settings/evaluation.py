"""Cuts, figures and the bundle's own words: `[operating_points]`, `[evaluation]`, `[bootstrap]`,
`[bundle]`."""

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ecgbatch.terms import Vessel
from training.settings.base import (
    Count,
    Name,
    OpenShare,
    Positive,
    Seed,
    Settings,
    Share,
    Size,
    refuse_other_vessels,
)


class BootstrapSettings(Settings):
    """Resampling of patients, for every interval."""

    seed: Seed = 42
    n_resamples: Count = 1000


class AbsoluteCuts(Settings):
    """Base cuts on the probability, as published; each vessel has one.

    The high cut is the first threshold at or above the base with the target specificity.
    """

    base: dict[Vessel, OpenShare]
    any_vessel_base: OpenShare

    @model_validator(mode="after")
    def _names_every_vessel(self) -> Self:
        refuse_other_vessels(self.base, "base")
        return self


class OperatingPointSettings(Settings):
    """Targets of the cuts, and the calibrator that they are set on.

    Attributes:
        low_sensitivity: of the low cut; high_specificity: of the high cut, per vessel.
        absolute: instead of the low cut's target; refused without a calibrator.
        calibrator: fitted on the cut part. `prior_shift` needs the site's prevalence.
        site_prevalence: per vessel, stated by the site; never estimated.
        fewest_positives: fewer: no cuts, the vessel becomes experimental.
        few_positives: fewer: a warning in log and card.
    """

    low_sensitivity: OpenShare = 0.95
    high_specificity: dict[Vessel, OpenShare] = {
        Vessel.RCA: 0.95,
        Vessel.LM: 0.87,
        Vessel.LAD: 0.95,
        Vessel.LCX: 0.95,
    }
    any_vessel_low_sensitivity: OpenShare = 0.95
    any_vessel_high_specificity: OpenShare = 0.95
    absolute: AbsoluteCuts | None = None
    calibrator: Literal["none", "platt", "isotonic", "prior_shift"] = "none"
    site_prevalence: dict[Vessel, OpenShare] = {}
    fewest_positives: Count = 30
    few_positives: Count = 100

    @model_validator(mode="after")
    def _fits(self) -> Self:
        refuse_other_vessels(self.high_specificity, "high_specificity")
        if self.calibrator == "prior_shift":
            refuse_other_vessels(self.site_prevalence, "site_prevalence")
        elif self.site_prevalence:
            raise ValueError("site_prevalence is for the calibrator prior_shift alone")
        if self.absolute is not None and self.calibrator == "none":
            raise ValueError("absolute cuts need a calibrator")
        return self


class SweepSettings(Settings):
    """Thresholds of the sweep and of the decision curve."""

    low: Share = 0.01
    high: Share = 0.60
    n: Annotated[int, Field(ge=2)] = 200


class IncidenceSettings(Settings):
    """Events after the ECG, by stratum.

    Attributes:
        blanking_days: an event up to here belongs to the ECG itself and counts as none; the
            patient is followed from here.
        censor_days: observation ends here at the latest.
        bar_days: where the cumulative incidence is read.
    """

    blanking_days: Size = 28.0
    censor_days: Positive = 700.0
    bar_days: Annotated[tuple[Positive, ...], Field(min_length=1)] = (30.0, 100.0, 200.0, 300.0)


class EvaluationSettings(Settings):
    """What `evaluate` reports.

    Attributes:
        prevalence: PPV and NPV are also stated at it, per vessel; a site's own, never estimated.
        age_bands: inner edges, in years.
        group_size: ECGs in one group of the calibration figure.
        lowess_share, lowess_resamples: of its smooth curve and bands.
        sweep: thresholds, per vessel where they differ from `sweep_default`.
        decision_points: of the decision curve.
        fewest_in_group: a smaller subgroup is named, not evaluated.
        reclassification_cuts: pre-test probability, low and high, for the comparison.
        beats_most: ECGs per group behind a mean beat; beats_from_s, beats_to_s: its window around
            the R peak.
    """

    prevalence: dict[Vessel, OpenShare] = {}
    age_bands: tuple[Positive, ...] = (50.0, 65.0, 75.0)
    group_size: Count = 20
    lowess_share: OpenShare = 0.6
    lowess_resamples: Count = 500
    sweep_default: SweepSettings = SweepSettings()
    sweep: dict[Vessel, SweepSettings] = {Vessel.LM: SweepSettings(low=0.001, high=0.10)}
    decision_points: Annotated[int, Field(ge=2)] = 300
    fewest_in_group: Count = 30
    reclassification_cuts: tuple[OpenShare, OpenShare] = (0.05, 0.15)
    beats_most: Count = 500
    beats_from_s: Annotated[float, Field(lt=0.0)] = -0.25
    beats_to_s: Positive = 0.65
    incidence: IncidenceSettings = IncidenceSettings()


class BundleSettings(Settings):
    """What the exported bundle says of itself.

    Attributes:
        is_clinical: False for anything trained on synthetic ECGs; the name then has
            "demonstration" in it.
        what: one net refitted on all but the cut and test parts, or the fold models as an
            ensemble (which needs `folds.over = "development"`).
        data_name: what the training data is called in cuts and metrics.
        date: of the operating points; stated, so that a rebuild has the same bytes.
        near_cut: half-width of the band around each cut, in probability.
        golden: `packaged`: the synthetic ECGs that ship with ecgbatch; or `cohort`: drawn from
            the synthetic cohort's settings with `golden_seed`.
    """

    name: Name
    version: Annotated[str, Field(min_length=1, max_length=40)]
    is_clinical: bool
    what: Literal["refit", "ensemble"] = "refit"
    data_name: Name
    date: date
    near_cut: Annotated[float, Field(ge=0.0, le=0.1)]
    intended_use: str
    exclusions: tuple[str, ...]
    training_data: str
    citation: str
    notes: tuple[str, ...] = ()
    golden: Literal["packaged", "cohort"] = "packaged"
    n_golden: Count = 6
    golden_seed: Seed = 777
    golden_noise_gain: Size = 0.5
