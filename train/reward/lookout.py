"""When a run looks at its clips, what it writes down, and when it ends (`train.reward.watch`).

`metrics.jsonl` gets the base model's look (`split` is `base`), a line per look of the policy
(`watch`), a line per LoRA scale of each look (`scale`), and the reason where the run was ended
(`stop`). The adapter of the last look that broke no rule is kept beside the run's state; a run that
was ended gives that one. Which scale did best at the look of the adapter that is given is told in
the run's record and card, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch

import scorers
from data.console import say, table
from data.errors import UserError
from data.records import Prompt
from data.store import Store
from train.models import VideoModel
from train.reward.reward_run import Parts, mixture
from train.reward.rewards import OMNISCORE, demand_no_judge, parse
from train.reward.vader_config import Config
from train.reward.watch import Look, Watch, best_scale, broken, plain, rules, scales_of, verdict
from train.run.distributed import Group
from train.run.runs import RunFolder

_SOUND = "sound.pt"


class Lookout:
    """The looks of one run."""

    def __init__(
        self,
        config: Config,
        parts: Parts,
        folder: RunFolder,
        group: Group,
        prompts: Sequence[str],
    ) -> None:
        """Loads what is held out, and takes up the looks that a resumed run has had.

        Raises:
            UserError: rules, scales or a scorer that there are not.
        """
        self._config, self._policy, self._folder, self._group = config, parts.policy, folder, group
        self._limits = rules(config.stop)
        self._patience = int(self._limits.pop("patience", 1))
        self._scales = _scales(config.scales)
        model, held_out = parts.policy.model, config.watch
        self.prompts = group.from_main(lambda: _watched(config, prompts, model))
        """Of the clips that are looked at."""
        self._watch = Watch(
            policy=parts.policy,
            reward=parts.reward,
            held_out=mixture(config, held_out, model, group, gradients=False) if held_out else None,
            prompts=self.prompts,
            settings=parts.settings,
            seed=config.seed,
            batch=config.micro or config.batch,
        )
        looks = [line["broken"] for line in folder.logged() if line["split"] == "watch"]
        self._breaches = [dict.fromkeys(filter(None, names.split(",")), "") for names in looks]
        self._base: Look | None = None
        self._stopped: int | None = None

    def stops(self, step: int, metrics: Mapping[str, float]) -> bool:
        """Looks before update `step` where that is due; whether the run ends there."""
        if not self._config.watch_clips or step == 0 or step % self._config.watch_every:
            return False
        why = self._inspect(step, metrics) if self._group.saving else ""
        why = self._group.collect(why)[0]
        if why:
            self._stopped = step
            self._folder.log(step, split="stop", reason=why)
            say(f"Stopped before step {step}: {why}")
        return bool(why)

    def finish(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """The last look, the adapter to keep, its scales; what belongs to the run's record."""
        if not self._config.watch_clips:
            return {}
        found = {}
        if self._stopped is not None:
            self._take_back()
            found = {"stopped": float(self._stopped)}
        elif why := self._inspect(self._config.steps, metrics):
            say(f"All steps are done; the next one would have been refused: {why}")
        self._show_scales()
        best = best_scale(self._folder.logged())
        return found if best is None else found | {"best_scale": best}

    def _inspect(self, step: int, metrics: Mapping[str, float]) -> str:
        """One look; why to stop, empty where there is no reason."""
        base, look = self._reference(), self._watch.look()
        found = broken(base, look, self._limits, metrics.get("drift", 0.0))
        self._breaches.append(found)
        self._folder.log(step, split="watch", broken=",".join(found), **plain(look))
        for scale, one in self._scaled(base, look).items():
            self._folder.log(step, split="scale", scale=scale, **plain(one))
        if not found:
            self._folder.state.mkdir(exist_ok=True)
            torch.save(self._policy.state(), self._folder.state / _SOUND)
        return verdict(self._breaches, self._patience)

    def _reference(self) -> Look:
        if self._base is None:
            self._base = self._watch.base()
            if not any(line["split"] == "base" for line in self._folder.logged()):
                self._folder.log(0, split="base", **plain(self._base))
        return self._base

    def _take_back(self) -> None:
        path = self._folder.state / _SOUND
        if not path.is_file():
            say("No look was without complaint: the adapter is that of the last step")
            return
        self._policy.load_state(torch.load(path, weights_only=True))
        say("The adapter is that of the last look without complaint")

    def _scaled(self, base: Look, look: Look) -> dict[float, Look]:
        """The look at each of `--scales`; those that are known are not sampled again."""
        known = {1.0: look}
        if not self._config.from_adapter:  # else the reference has an adapter, and 0 is without
            known[0.0] = base
        swept = self._watch.sweep([scale for scale in self._scales if scale not in known])
        return {scale: (known | swept)[scale] for scale in self._scales}

    def _show_scales(self) -> None:
        """Prints the scales of the adapter that is given."""
        lines = scales_of(self._folder.logged())
        if lines:
            names = [name for name in lines[0] if name not in ("step", "split", "scale")]
            rows = [(line["scale"], *(f"{line[name]:.3f}" for name in names)) for line in lines]
            say(table(("LoRA scale", *names), rows))


def _watched(config: Config, prompts: Sequence[str], model: VideoModel) -> list[str]:
    """Test prompts of the database, else train prompts: one per clip that is looked at."""
    if model.album is not None:  # it knows no other prompts' images
        return list(prompts)[: config.watch_clips]
    with Store.open(config.db) as store:
        known = cast("list[Prompt]", store.all("prompts"))
    test = sorted(prompt.text for prompt in known if prompt.split == "test")
    return (test or list(prompts))[: config.watch_clips]


def demand_usable(config: Config) -> None:
    """Before a run begins: what its looks are to be made with is there.

    Raises:
        UserError: rules, scales or a scorer that there are not, or one that is trained on.
    """
    rules(config.stop)
    _scales(config.scales)
    rewarded = parse(config.reward)
    for spec in parse(config.watch) if config.watch else ():
        if spec in rewarded:
            raise UserError(
                f"--watch {spec} is trained on, so that it would rise with the reward however that "
                "is hacked. Name another scorer, or leave --watch out"
            )
        name = spec.partition("?")[0]
        demand_no_judge([name])
        if name != OMNISCORE:
            scorers.card(scorers.ALIASES.get(name, (name, {}))[0])


def _scales(text: str) -> list[float]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.replace(".", "", 1).isdigit() for part in parts):
        raise UserError(f"--scales is {text!r}; write numbers of 0 or more, such as 0,0.5,1")
    return [float(part) for part in parts]
