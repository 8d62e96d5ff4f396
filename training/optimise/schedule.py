"""The learning rate of each step."""

import math

from training.settings.fit import OptimiserSettings


def learning_rate(step: int, n_steps: int, settings: OptimiserSettings) -> float:
    """Linear warm-up per step, then half a cosine down to `final_learning_rate_share`.

    Args:
        step: from 0; the last one, `n_steps - 1`, has the final share.
    """
    n_warm = max(1, round(settings.warm_up_share * n_steps))
    if step < n_warm:
        return settings.learning_rate * (step + 1) / n_warm
    done = min(1.0, (step - n_warm + 1) / max(1, n_steps - n_warm))
    low = settings.final_learning_rate_share
    factor = low + (1.0 - low) * (1.0 + math.cos(math.pi * done)) / 2.0
    return settings.learning_rate * factor
