"""From a start to weights: the loop, its checkpoints, the choice of an epoch, predictions."""
