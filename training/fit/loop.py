"""One fit from its start to its weights; it goes on after a kill as if nothing had been.

Whatever a step needs beside the state in the checkpoint is addressed by seed, fit, epoch and ECG:
there is no generator whose state could be lost.
"""

import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch import Tensor

from ecgbatch.errors import SetupFault
from ecgbatch.terms import ReasonCode
from training.fit.batches import Batch, Batches
from training.fit.checkpoint import file_digest, load_torch, save_torch
from training.fit.folder import FitFolder, locked, read_json
from training.fit.history import Events, History
from training.fit.material import Around, Material
from training.fit.outcome import outcome
from training.fit.plan import Plan, identity
from training.fit.predict import batched_logits
from training.fit.selection import Choice, InnerScore, counted_tasks, score_inner
from training.folder import clear_unfinished, readable, write_json
from training.model.start import build_net
from training.optimise.optimisation import Optimisation
from training.optimise.reproducible import derived_seed, reproducible

_STEP = 0x57E
"""Keeps the draws of the steps apart from others with the same seed."""


def fit(plan: Plan, material: Material, folder: FitFolder, around: Around) -> dict[str, Any]:
    """Fit, or go on with a fit, or find it finished.

    Returns:
        The content of done.json.

    Raises:
        SetupFault: `run_folder_unfit`, the folder holds a fit of other settings, ECGs, labels or
            start; `run_locked`; `settings_invalid`, too few ECGs or a gradient that is not finite.
    """
    mark = identity(plan, material.experiment, material.cohort, material.start)
    done = read_json(folder.done)
    if done is not None:
        _refuse_other(mark, done.get("identity"))
        if done.get("weights_sha256") != file_digest(folder.weights):
            raise SetupFault(ReasonCode.RUN_FOLDER_UNFIT, "the weights are not those of the fit")
        if around.group.is_first:
            _clear_away(folder)
        return done
    compute = material.experiment.compute
    lock: AbstractContextManager[None] = locked(folder) if around.group.is_first else nullcontext()
    with lock, reproducible(compute.seed, compute.threads):
        if around.group.is_first:
            clear_unfinished(folder.path)
        running = _Running(plan, material, folder, around, mark)
        running.resume()
        running.go()
        return running.finish()


class _Running:
    """The state of a fit between two steps."""

    def __init__(
        self, plan: Plan, material: Material, folder: FitFolder, around: Around, mark: str
    ) -> None:
        experiment, cohort = material.experiment, material.cohort
        self._plan, self._material, self._folder, self._around = plan, material, folder, around
        self._mark = mark
        self._batches = Batches(plan, experiment, cohort, material.inputs, around.group)
        self._optimisation = Optimisation(
            build_net(experiment, material.start, plan.number),
            cohort.tasks,
            self._batches.n_steps,
            loss=experiment.loss,
            optimiser=experiment.optimiser,
            compute=experiment.compute,
            trained=experiment.start.trained,
            device=around.device,
            group=around.group,
        )
        self._counted = counted_tasks(
            cohort.tasks,
            cohort.labels[plan.inner],
            plan.experimental,
            experiment.selection.fewest_positives,
        )
        self._notes = [*material.start.notes, *self._doubts()]
        self._history = History(cohort.tasks)
        self._choice = Choice()
        self._n_done = 0
        self._seconds_before = 0.0
        self._n_starts = 1
        self._began = time.monotonic()
        self._step_seconds = 0.0
        self._first_step = 0

    @property
    def _keeps_last(self) -> bool:
        return not self._counted

    def _doubts(self) -> list[str]:
        if self._counted or self._material.experiment.selection.kind == "last":
            return []
        return [
            "No task that is not experimental has enough positives on the inner split: the last"
            " epoch is kept."
        ]

    def resume(self) -> None:
        """Load the checkpoint, if there is one; all processes do.

        Raises:
            SetupFault: `run_folder_unfit`, damaged, or of other settings or data.
        """
        if self._folder.checkpoint.is_file():
            state = load_torch(self._folder.checkpoint)
            _refuse_other(self._mark, state.get("identity"))
            with readable("the checkpoint of the fit"):
                self._take_over(state)
        self._around.group.barrier()

    def _take_over(self, state: dict[str, Any]) -> None:
        self._optimisation.load_state_dict(state["optimisation"])
        self._history.load_state_dict(state["history"])
        self._choice = Choice(state["best_epoch"], state["best_macro"])
        self._n_done = self._first_step = state["n_done"]
        self._seconds_before = state["seconds"]
        self._n_starts = state["n_starts"] + 1

    def go(self) -> None:
        """Make the steps that are left."""
        if not self._around.group.is_first:
            for batch in self._batches.ahead(self._n_done):
                self._step(batch)
            return
        write_json(
            self._folder.start,
            {**self._material.start.as_json(), "fit": self._plan.name, "identity": self._mark},
        )
        for note in self._notes:
            self._around.say(f"{self._plan.name}: {note}")
        events = Events(self._folder.events, self._n_done)
        try:
            for batch in self._batches.ahead(self._n_done):
                self._step(batch, events)
        finally:
            events.close()

    def _step(self, batch: Batch, events: Events | None = None) -> None:
        step, epoch = batch.step, self._batches.epoch_of(batch.step)
        seed = self._material.experiment.compute.seed
        began = time.monotonic()
        found = self._optimisation.step(
            batch.inputs, batch.labels, derived_seed(_STEP, seed, self._plan.number, step)
        )
        self._step_seconds += time.monotonic() - began
        points = self._history.add_step(found, epoch)
        if self._batches.ends_epoch(step):
            points |= self._end_epoch(epoch, step)
        self._n_done = step + 1
        if events is not None:
            events.add(points, step)
            if self._n_done % self._material.experiment.compute.checkpoint_every_steps == 0:
                events.flush()
                self._save()
        self._around.progress(f"fitting {self._plan.name}", self._n_done, self._batches.n_steps)

    def _end_epoch(self, epoch: int, step: int) -> dict[str, float]:
        if not len(self._plan.inner):
            return {}
        weights = self._optimisation.kept_weights()
        score = self._score(weights)
        before = self._choice
        self._choice = before.after(epoch, score, keeps_last=self._keeps_last)
        is_better = self._choice.epoch == epoch and not self._keeps_last
        if is_better and self._around.group.is_first:
            save_torch(self._folder.best(epoch), self._layout(weights))
        return self._history.add_epoch(epoch, step, score)

    def _score(self, weights: dict[str, Tensor]) -> InnerScore:
        material, around, inner = self._material, self._around, self._plan.inner
        logits = batched_logits(
            material.experiment.architecture,
            weights,
            material.inputs,
            inner,
            device=around.device,
            group=around.group,
        )
        cohort = material.cohort
        return score_inner(cohort.tasks, cohort.labels[inner], logits, self._counted)

    def _layout(self, weights: dict[str, Tensor]) -> dict[str, Any]:
        s = self._optimisation.state_dict()["s"]
        return {"model": weights, "uw": s.detach().cpu().clone()}

    def _save(self) -> None:
        save_torch(
            self._folder.checkpoint,
            {
                "identity": self._mark,
                "n_done": self._n_done,
                "optimisation": self._optimisation.state_dict(),
                "history": self._history.state_dict(),
                "best_epoch": self._choice.epoch,
                "best_macro": self._choice.macro,
                "seconds": self._seconds(),
                "n_starts": self._n_starts,
            },
        )
        # Only now does no checkpoint name the best weights before.
        _remove_best(self._folder, but=self._choice.epoch)

    def _seconds(self) -> float:
        return self._seconds_before + time.monotonic() - self._began

    def finish(self) -> dict[str, Any]:
        """Write what the fit leaves behind; done.json last, then clear away."""
        group, folder = self._around.group, self._folder
        if group.is_first:
            last = self._batches.epochs - 1
            epoch = last if self._keeps_last else self._choice.epoch
            if self._keeps_last or epoch is None:
                save_torch(folder.weights, self._layout(self._optimisation.kept_weights()))
            else:
                save_torch(folder.weights, load_torch(folder.best(epoch)))
            self._history.save(folder.history, folder.epochs)
            write_json(folder.done, self._done(last if epoch is None else epoch))
            _clear_away(folder)
        group.barrier()
        done = read_json(folder.done)
        if done is None:
            raise SetupFault(ReasonCode.RUN_FOLDER_UNFIT, "the processes share no folder")
        return done

    def _done(self, epoch: int) -> dict[str, Any]:
        n_steps = self._batches.n_steps
        n_ecgs = sum(len(self._batches.rows(step)) for step in range(self._first_step, n_steps))
        return {
            "fit": self._plan.name,
            "identity": self._mark,
            "weights_sha256": file_digest(self._folder.weights),
            "best_epoch": epoch,
            "best_macro_auc": None if self._keeps_last else self._choice.macro,
            "selected_by": "last epoch" if self._keeps_last else "macro AUC on the inner split",
            "selection_tasks": list(self._counted),
            "experimental": list(self._plan.experimental),
            "n_steps": n_steps,
            "n_starts": self._n_starts,
            "seconds": self._seconds(),
            "ecgs_per_s": n_ecgs / self._step_seconds if self._step_seconds else None,
            "notes": self._notes,
            **outcome(self._plan, self._material, self._around),
        }


def _clear_away(folder: FitFolder) -> None:
    """What a finished fit needs no more, also after a kill between its last two acts."""
    folder.checkpoint.unlink(missing_ok=True)
    _remove_best(folder, but=None)


def _remove_best(folder: FitFolder, *, but: int | None) -> None:
    for path in folder.all_best():
        if but is None or path != folder.best(but):
            path.unlink()


def _refuse_other(ours: str, found: object) -> None:
    if found != ours:
        raise SetupFault(
            ReasonCode.RUN_FOLDER_UNFIT, "holds a fit of other settings, ECGs, labels or start"
        )
