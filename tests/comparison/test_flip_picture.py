"""The picture of a comparison, whatever its bundles are called and however little was scored."""

from ecgbatch.comparison.flips import TASKS, flips
from ecgbatch.comparison.picture import draw
from ecgbatch.comparison.report import Comparison
from ecgbatch.store.bundles import BundleRow
from ecgbatch.store.pairs import Pair
from ecgbatch.terms import Stratum


def test_a_name_is_no_formula_and_one_ecg_is_enough() -> None:
    one = tuple(Pair(1, None, task, 0.2, 0.2, Stratum.LOW, None) for task in TASKS)
    for pairs in ((), one):
        champion = BundleRow("a" * 64, "$\\frac{ demonstration $", "1", is_clinical=False)
        challenger = BundleRow("b" * 64, "demonstration", "2", is_clinical=False)

        content = draw(Comparison(champion, challenger, None, flips(pairs), pairs), "png")

        assert content.startswith(b"\x89PNG")


def test_one_ecg_and_ecgs_without_a_stratum_have_no_interval() -> None:
    (one,) = flips([Pair(1, None, TASKS[0], 0.2, 0.5, Stratum.LOW, None)])

    assert (one.n_ecgs, one.n_patients, one.agreement, one.agreement_ci, one.kappa) == (
        *(1, 1),
        *(None, None, None),
    )
    assert one.mean_shift_ci is None
