"""How the weights are made: `[start]`, `[loss]`, `[optimiser]`, `[augmentation]`, `[split]`,
`[folds]`, `[selection]`, `[compute]`."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from training.settings.base import Count, OpenShare, Positive, Seed, Settings, Share, Size


class StartSettings(Settings):
    """What the weights start from; the checkpoint itself is named on the command line.

    Attributes:
        kind: `scratch`, or `checkpoint`: ECGFounder's layout, a backbone folder of `bundle
            import-ecgfounder`, or the run folder of an intermediate stage.
        checkpoint_use_bn: whether batch norm was active where the checkpoint was made.
        trained: `all` is full fine-tuning, `head` a linear probe.
    """

    kind: Literal["scratch", "checkpoint"] = "scratch"
    checkpoint_use_bn: bool | None = None
    trained: Literal["all", "head"] = "all"

    @model_validator(mode="after")
    def _states_batch_norm(self) -> Self:
        if (self.kind == "checkpoint") != (self.checkpoint_use_bn is not None):
            raise ValueError("checkpoint_use_bn is stated for a checkpoint, and only then")
        return self


class LossSettings(Settings):
    """Masked binary cross entropy per task.

    Attributes:
        positive_weight: factor on the positives, per task name; 1 where not named.
        weighting: of the tasks: learned uncertainty, or all equal.
        log_variance_limit: largest |s| of the uncertainty weights.
    """

    positive_weight: dict[str, Positive] = {}
    weighting: Literal["uncertainty", "equal"] = "uncertainty"
    log_variance_limit: Positive = 1.5


class OptimiserSettings(Settings):
    """AdamW.

    Attributes:
        batch_size: ECGs of one step, before their augmented copies.
        accumulation: micro-batches that one step is computed in; the step stays the same.
        weight_decay: of the net; the task weights have none.
        warm_up_share: of all steps; final_learning_rate_share: of `learning_rate`.
        projection: `pcgrad`, or `none` for the plain mean of the task gradients.
        gradient_limit: norm above which the gradient is shortened.
        ema_decay: of an average of the weights, which is then what is kept; 0: none.
    """

    epochs: Count
    batch_size: Count
    accumulation: Count = 1
    learning_rate: Positive
    weight_decay: Size
    warm_up_share: Share = 0.10
    final_learning_rate_share: Share = 0.01
    projection: Literal["pcgrad", "none"] = "pcgrad"
    gradient_limit: Positive = 1.0
    ema_decay: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0


class AugmentationSettings(Settings):
    """Changes to the model's input; every part is off at probability 0.

    Attributes:
        copies: the batch holds every ECG as it is and once more augmented.
        strength_from, strength_to: c, from the first to the last epoch along a half cosine;
            probabilities and the noise's SD are multiplied by it.
        shift_share: largest circular shift, of the length.
        gain: lowest and highest factor.
        noise_sd, noise_limit: of the prepared input's unit.
        blank_share: smallest and largest part of the length that is zero in all leads.
        lead_dropout_most: largest number of leads that are zeroed at once.
        resampling_most: largest relative change of the sampling frequency.
    """

    copies: bool = True
    strength_from: Share = 1.0
    strength_to: Share = 0.5
    shift_probability: Share = 0.0
    shift_share: Share = 0.10
    gain_probability: Share = 0.0
    gain: tuple[Positive, Positive] = (0.9, 1.1)
    noise_probability: Share = 0.0
    noise_sd: Size = 0.02
    noise_limit: Size = 0.1
    blank_probability: Share = 0.0
    blank_share: tuple[Share, Share] = (0.02, 0.10)
    lead_dropout_probability: Share = 0.0
    lead_dropout_most: Annotated[int, Field(ge=1, le=11)] = 3
    resampling_probability: Share = 0.0
    resampling_most: OpenShare = 0.05

    @property
    def is_off(self) -> bool:
        return not any(
            (
                self.shift_probability,
                self.gain_probability,
                self.noise_probability,
                self.blank_probability,
                self.lead_dropout_probability,
                self.resampling_probability,
            )
        )


class SplitSettings(Settings):
    """Parts of the final fit, by patient and label pattern; the rest trains.

    Attributes:
        cut_share: sets calibrators and cuts; test_share: reports how they hold.
    """

    seed: Seed = 42
    cut_share: OpenShare = 0.2
    test_share: OpenShare = 0.2


class FoldSettings(Settings):
    """Stratified patient-grouped folds of `cross-validate`.

    Attributes:
        fewest_of_pattern: label patterns rarer than this are merged into one stratum.
        over: `all` index ECGs, as published; or `development`: those of the final fit's train
            part, which leaves cut and test parts that no fold model has seen, as an exported
            ensemble needs.
    """

    n: Annotated[int, Field(ge=2, le=50)] = 5
    seed: Seed = 42
    fewest_of_pattern: Count = 10
    over: Literal["all", "development"] = "all"


class SelectionSettings(Settings):
    """Which epoch's weights are kept.

    Attributes:
        kind: `best` macro AUC on an inner split of the training part, or the `last` epoch.
        inner_share: of the training part's patients.
        fewest_positives: a task with fewer there does not count for the choice.
    """

    kind: Literal["best", "last"] = "best"
    seed: Seed = 42
    inner_share: OpenShare = 0.15
    fewest_positives: Count = 10


class ComputeSettings(Settings):
    """Where it runs.

    Attributes:
        device: `auto` takes the GPU where there is one.
        precision: of the forward and backward passes; weights and sums stay fp32.
        threads: part of the result's bits on a CPU.
        checkpoint_every_steps: how much work a kill can cost.
    """

    seed: Seed = 42
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["fp32", "bf16"] = "fp32"
    threads: Count = 2
    checkpoint_every_steps: Count = 100
