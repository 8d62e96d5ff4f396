"""A small experiment for the trainer's tests; every number can be changed."""

from typing import Any

from training.settings.experiment import Experiment

TINY_NET: dict[str, Any] = {
    "in_channels": 12,
    "base_filters": 4,
    "filter_list": [4, 8],
    "m_blocks_list": [1, 1],
    "kernel_size": 8,
    "stride": 4,
    "groups_width": 4,
    "ratio": 1.0,
    "n_classes": 4,
    "use_bn": True,
    "use_dropout": False,
    "dropout_p": 0.0,
}

COLUMNS: dict[str, Any] = {
    "patient": "patient_id",
    "ecg_path": "ecg_path",
    "vessels": {"RCA": "RCA", "LM": "LM", "LAD": "LAD", "LCX": "LCX"},
    "ecg_at": "ecg_at",
    "ccta_at": "ccta_at",
    "revascularised_at": "revascularised_at",
    "sex": "sex",
    "age_years": "age_years",
    "device": "device",
    "site": "site",
    "statement_normal": "statement_normal",
    "pretest_probability": "pretest_probability",
    "event_at": "event_at",
    "death_at": "death_at",
    "followed_until": "followed_until",
}
"""The standard column names: what `synthesise` writes and the documentation shows."""


def experiment(**changed: dict[str, Any]) -> Experiment:
    """A valid experiment that runs in seconds.

    Args:
        changed: keys of a part over its own, for example `optimiser={"epochs": 3}`.
    """
    content: dict[str, Any] = {
        "name": "tiny",
        "data": {"preset": "anyecg-ccta", "columns": COLUMNS, "processes": 1},
        "labels": {"fewest_positives": 5},
        "architecture": TINY_NET,
        "optimiser": {
            "epochs": 2,
            "batch_size": 8,
            "learning_rate": 0.003,
            "weight_decay": 0.01,
        },
        "split": {"cut_share": 0.3, "test_share": 0.2},
        "folds": {"n": 2, "fewest_of_pattern": 4},
        "selection": {"fewest_positives": 2, "inner_share": 0.2},
        "compute": {"threads": 1, "device": "cpu", "checkpoint_every_steps": 2},
        "bootstrap": {"n_resamples": 20},
        "operating_points": {"fewest_positives": 5, "few_positives": 10},
        "bundle": {
            "name": "tiny demonstration",
            "version": "1",
            "is_clinical": False,
            "data_name": "synthetic",
            "date": "2026-01-01",
            "near_cut": 0.005,
            "intended_use": "tests; low does not exclude disease",
            "exclusions": ["any clinical use"],
            "training_data": "synthetic",
            "citation": "none",
        },
    }
    for part, keys in changed.items():
        content[part] = {**content.get(part, {}), **keys}
    return Experiment.model_validate(content)
