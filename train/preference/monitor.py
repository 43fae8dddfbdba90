"""What is looked at while a run on pairs goes on, and whether it is to end.

An evaluation measures the held-out pairs on the fixed bank (`train.preference.evaluate`: loss,
accuracy, margin in all and by noise level, the errors of chosen and of rejected clips apart) and
how far the policy is from the reference (`train.preference.distance`: `drift`, the mean squared
difference of predictions; `weights`, the relative change of the trained matrices). With
`--grid-every`, clips are sampled at fixed prompts and seeds (`train.run.grid`). Rules that end a
run are in `train.preference.stopping`.
"""

from __future__ import annotations

from data.console import say
from train.losses import Metrics
from train.policy import Policy
from train.preference.distance import weight_change
from train.preference.dpo_config import Config
from train.preference.evaluate import Evaluation
from train.preference.progress import evaluated
from train.preference.stopping import Rules, reason
from train.run.distributed import Group
from train.run.grid import Grid
from train.run.runs import RunFolder


class Monitor:
    """The looks of one run."""

    def __init__(
        self,
        config: Config,
        policy: Policy,
        evaluate: Evaluation,
        grid: Grid,
        folder: RunFolder,
        group: Group,
        where: str,
    ) -> None:
        """Takes up the evaluations that a resumed run has had.

        Args:
            config: Of the run.
            policy: What is trained.
            evaluate: On the pairs that are watched.
            grid: Of sample clips.
            folder: The open run.
            group: Of processes.
            where: What the pairs are: `held-out` or `training pairs`.
        """
        self._config, self._policy, self._evaluate = config, policy, evaluate
        self._grid, self._folder, self._group, self._where = grid, folder, group, where
        self._rules = Rules(rises=config.stop_rises, drift=config.stop_drift)
        self._seen: list[Metrics] = [line for line in folder.logged() if line["split"] == where]

    def stops(self, step: int) -> bool:
        """Looks before update `step`, where that is due; whether the run ends there."""
        every = self._config.grid_every
        if every and step % every == 0 and self._group.saving:
            self._folder.log(step, split="samples", **self._grid.at(step))
        if step % self._config.evaluate_every:
            return False
        self.look(step)
        why = reason(self._seen, self._rules)
        if why:
            self._folder.log(step, split="stop", reason=why)
            say(f"Stopped after {step} steps: {why}")
        return bool(why)

    @property
    def latest(self) -> Metrics:
        """What the last evaluation found."""
        return self._seen[-1]

    def look(self, step: int) -> Metrics:
        """One evaluation, logged and said."""
        found = self._evaluate(self._config.beta) | {
            "drift": self._evaluate.distance(),
            "weights": weight_change(self._policy),
        }
        self._seen.append(found)
        return evaluated(self._folder, step, found, self._where, self._config.rise_limit)
