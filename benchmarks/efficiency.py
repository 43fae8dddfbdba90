"""How fast a reward rises: VADER, DPO and DDPO from one base on one reward (after VADER, fig. 4).

    nice python -m benchmarks.efficiency --search --out efficiency.json --figure efficiency.svg

Every method starts from the built-in model, uses the same LoRA and the same train prompts, and may
ask the reward the same number of times. A reward query is one clip that was scored: VADER and DDPO
score what they sample as they go; DPO samples all candidates from the base first, labels the best
and the worst of each prompt by the reward (off-policy, as VideoDPO does), and is trained anew for
each number of queries. At each budget the adapter samples train prompts and prompts that no method
saw from common noise; what is reported is the mean reward there, and the oracle's score, which no
method is trained on. Lines are means over training seeds, bands their 95 % interval (Student's t).

What it shows: how reward, queries and time go together for these three on a small flow-matching
model and one reward with a useful gradient. What it does not: that the clips are better (read the
oracle), the same order on another model or reward, or the paper's figure, which is ModelScope with
HPS after 100 steps. Learning rates are the commands' defaults, or with `--search` the best of three
per method (`benchmarks.efficiency_search`). Seconds are of processor time in one thread, so that a
busy machine changes them less than seconds of a clock; scoring and sampling are in them, evaluation
and the search are not.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch

import scorers
from benchmarks.efficiency_report import METHODS, Point, draw, show
from benchmarks.efficiency_search import OWN, SEED, Tried, best, search, show_search
from data import clips, shapes
from data.console import say
from data.records import Candidate, Pair, Preference, Prompt, Run
from data.store import Store
from train import ddpo, dpo, models, policy, sample, vader
from train.preference.labelled import Labelled
from train.sampling.prompts import read
from train.sampling.rollout import clip_seed, generate

CANDIDATES = 4  # clips per prompt that DPO picks the best and the worst of; VideoDPO: 4


@dataclass(frozen=True, kw_only=True)
class Study:
    """What all methods share."""

    options: argparse.Namespace
    folder: Path
    train: list[str]
    unseen: list[str]
    sampled: dict[int, tuple[list[Candidate], float]] = field(default_factory=dict)
    """What `candidates` made, by seed."""

    def database(self, seed: int) -> str:
        """A database with the train prompts alone."""
        path = str(self.folder / f"{seed}.duckdb")
        if not Path(path).exists():
            with Store.open(path, create=True) as store:
                store.add(Prompt(text=text) for text in self.train)
        return path

    def budgets(self) -> list[int]:
        """Reward queries at which every method is measured."""
        options = self.options
        return [options.queries * (i + 1) // options.points for i in range(options.points)]

    def candidates(self, seed: int) -> tuple[list[Candidate], float]:
        """The base's clips that DPO labels, and the processor seconds that each took."""
        if seed not in self.sampled:
            options, begun = self.options, time.process_time()
            prompts = self.folder / "train.txt"
            prompts.write_text("".join(f"{text}\n" for text in self.train))
            per_prompt = max(CANDIDATES, math.ceil(options.queries / len(self.train)))
            job = sample.Config(
                db=self.database(seed), model=options.model, prompts=str(prompts), n=per_prompt,
                seed=seed, sampler_steps=options.sampler_steps,
            )  # fmt: skip
            made = sample.run(job)[: options.queries]
            self.sampled[seed] = made, (time.process_time() - begun) / len(made)
        return self.sampled[seed]

    def measured(self, adapter: Path | None) -> dict[str, float]:
        """Rewards and oracle score of an adapter, from the same noise each time."""
        options = self.options
        model = models.load(options.model)
        if adapter is not None:
            policy.load(model, adapter)
        settings = sample.Config(model=options.model, sampler_steps=options.sampler_steps)
        made = {
            name: list(_sampled(model, settings, prompts))
            for name, prompts in (("train", self.train), ("unseen", self.unseen))
        }
        found = {
            name: fmean(_rewards(options.reward, made[name], prompts, model.sample_defaults.fps))
            for name, prompts in (("train", self.train), ("unseen", self.unseen))
        }
        judged = zip(made["unseen"], self.unseen, strict=True)
        scores = [float(shapes.judge(clip, text)["score"]) for clip, text in judged]
        return found | {"oracle": fmean(scores)}


def _sampled(model: Any, config: sample.Config, prompts: Sequence[str]) -> Iterator[np.ndarray]:
    from train.sampling.origin import sampler_settings

    seeds = [clip_seed(9, text, 0) for text in prompts]
    return generate(model, prompts, seeds, sampler_settings(model, config), batch=16)


@torch.no_grad()
def _rewards(
    name: str, made: Sequence[np.ndarray], prompts: Sequence[str], fps: float
) -> list[float]:
    frames = torch.from_numpy(np.stack(made)).permute(0, 1, 4, 2, 3).float() / 255
    return scorers.load(name)(frames, list(prompts), [fps] * len(made)).mean(1).tolist()


def trained(study: Study, method: str, seed: int, lr: float) -> Iterator[tuple[int, float, Path]]:
    """Queries, processor seconds and adapter of a method at every budget."""
    return offline(study, seed, lr) if method == "dpo" else online(study, method, seed, lr)


def online(study: Study, method: str, seed: int, lr: float) -> Iterator[tuple[int, float, Path]]:
    """VADER or DDPO: queries, processor seconds and adapter at every budget."""
    options = study.options
    shared = {
        "db": study.database(seed), "model": options.model, "reward": options.reward, "seed": seed,
        "lr": lr, "sampler_steps": options.sampler_steps, "batch": options.batch, "grid": 0,
        "save_every": 10**6, "out": str(study.folder / f"{method}-{seed}"), "device": "cpu",
    }  # fmt: skip
    command: Any = {"vader": vader, "ddpo": ddpo}[method]
    own = {"watch_clips": 0} if method == "vader" else {}
    run: Run | None = None
    spent = 0.0
    for queries in study.budgets():
        steps, begun = queries // options.batch, time.process_time()
        if run is None:
            run = command.run(command.Config(steps=steps, **shared, **own))
        else:
            run = command.resume(run.folder, steps)
        spent += time.process_time() - begun
        yield queries, spent, Path(run.folder) / "adapter"


def offline(study: Study, seed: int, lr: float) -> Iterator[tuple[int, float, Path]]:
    """DPO: the same, each budget trained anew on what its queries labelled."""
    options, db = study.options, study.database(seed)
    made, each = study.candidates(seed)
    for queries in study.budgets():
        begun = time.process_time()
        labels = labelled(db, made[:queries], options.reward)
        config = dpo.Config(
            db=db, model=options.model, labels="auto", steps=options.dpo_steps, weights="none",
            lr=lr, held_out=0.0, evaluate_every=10**6, evaluate_pairs=1, save_every=10**6, grid=0,
            seed=seed, out=str(study.folder / f"dpo-{seed}"), device="cpu",
        )  # fmt: skip
        run = dpo.run(config, labels)
        spent = time.process_time() - begun + each * queries
        yield queries, spent, Path(run.folder) / "adapter"


def labelled(db: str, made: Sequence[Candidate], reward: str) -> Labelled:
    """Best against worst by the reward of each group of four candidates of a prompt."""
    with Store.open(db) as store:
        prompts: dict[str, Prompt] = {one.id: one for one in store.all("prompts")}
    groups: dict[tuple[str, int], list[Candidate]] = {}
    seen: dict[str, int] = {}
    for clip in made:
        place = seen[clip.prompt] = seen.get(clip.prompt, -1) + 1
        groups.setdefault((clip.prompt, place // CANDIDATES), []).append(clip)
    labels = []
    for (prompt, _), some in groups.items():
        if len(some) < 2:
            continue
        texts = [prompts[prompt].text] * len(some)
        values = _rewards(reward, [clips.read(clip)[0] for clip in some], texts, some[0].fps)
        worst, *_, best = [some[i] for i in sorted(range(len(some)), key=values.__getitem__)]
        labels.append(
            Preference(
                pair=Pair.of(best.sha256, worst.sha256, prompt=prompt).id, prompt=prompt,
                chosen=best.sha256, rejected=worst.sha256, probability=1.0, source="auto",
                evidence=(reward,),
            )
        )  # fmt: skip
    known = {clip.sha256: clip for clip in made}
    return Labelled(
        preferences=tuple(sorted(labels, key=lambda label: label.pair)),
        clips={sha: known[sha] for label in labels for sha in (label.chosen, label.rejected)},
        prompts={label.prompt: prompts[label.prompt] for label in labels},
        left_out={},
        snapshot=0,
    )


def run(
    options: argparse.Namespace, folder: Path, keep: Callable[[list[Point], list[Tried]], None]
) -> None:
    """Rates if asked for, then every method and seed; what is known is kept after each point."""
    scratch = str(folder / "prompts.duckdb")
    train, unseen = (
        [prompt.text for prompt in read(f"builtin:{options.prompts}", split, db=scratch)]
        for split in ("train", "test")
    )
    study = Study(options=options, folder=folder, train=train, unseen=unseen)
    tried = [one for method in METHODS for one in rates(study, method)] if options.search else []
    keep([], tried)
    base, points = study.measured(None), list[Point]()
    for seed in range(options.seeds):
        for method in METHODS:
            points.append(Point(method=method, seed=seed, queries=0, seconds=0.0, **base))
            own = [one for one in tried if one.method == method]
            lr = best(own) if own else OWN[method]
            for queries, seconds, adapter in trained(study, method, seed, lr):
                found = study.measured(adapter)
                point = Point(
                    method=method, seed=seed, queries=queries, seconds=round(seconds, 1), **found
                )
                points.append(point)
                keep(points, tried)
                say(f"{point}")


def rates(study: Study, method: str) -> list[Tried]:
    """The learning rates that are tried for a method, each with all queries at once."""
    whole = argparse.Namespace(**{**vars(study.options), "points": 1})

    def means(lr: float) -> dict[str, float]:
        [(_, _, adapter)] = trained(replace(study, options=whole), method, SEED, lr)
        return study.measured(adapter)

    found = search(method, means)
    say(show_search(found))
    return found


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--model", default="shapes", help="of the world of `shapes` (default: %(default)s)")
    add("--reward", default="shapes", help="a differentiable scorer (default: %(default)s)")
    add("--prompts", type=int, default=32, help="train, and as many unseen (default: 32)")
    add("--queries", type=int, default=320, help="of the reward, at the end (default: 320)")
    add("--points", type=int, default=4, help="budgets that are measured (default: 4)")
    add("--batch", type=int, default=8, help="clips per step of VADER and DDPO (default: 8)")
    add("--dpo-steps", type=int, default=75, help="optimizer steps of each DPO (default: 75)")
    add("--sampler-steps", type=int, default=12, help="of every method (default: 12)")
    add("--seeds", type=int, default=3, help="training seeds (default: 3)")
    add("--search", action="store_true", help="a learning rate for each method first, of three")
    add("--out", type=Path, help="JSON file to write, after every point")
    add("--figure", type=Path, help="SVG file to write")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    found: list[Point] = []

    def keep(points: list[Point], tried: list[Tried]) -> None:
        found[:] = points
        if options.out:
            parts = {
                "options": {name: str(value) for name, value in vars(options).items()},
                "search": [asdict(one) for one in tried],
                "points": [asdict(point) for point in points],
            }
            options.out.write_text(json.dumps(parts, indent=1))
        if options.figure and points:
            draw(points, options.figure)

    with tempfile.TemporaryDirectory() as folder:
        run(options, Path(folder), keep)
    say(show(found))
    say(f"results on `{options.model}`, reward `{options.reward}`, {options.seeds} seeds")


if __name__ == "__main__":
    main()
