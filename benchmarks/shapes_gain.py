"""Does training help? DPO on oracle labels, and VADER, against the base model, on new prompts.

    python -m benchmarks.shapes_gain --out gain.json

The built-in model samples clips for training prompts; the oracle of its world labels the best and
the worst of each; `train.dpo` trains on them. `train.vader` trains on the built-in encoder's reward
at the same prompts. Base and both adapters then sample new prompts from common noise, and the
oracle judges: win rate against the base, ties (within 0.01) as half, 95 % interval by a bootstrap
over prompts.

The floor is the base model against itself, 50 %. DPO's labels and the judge are one oracle, so its
line says that the preference is learnt, not that people would prefer it; VADER's reward is another
model. Results on `shapes`, one training seed. Less than six minutes on two idle cores.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from data import clips, shapes
from data.console import say, table
from data.profile import Profile
from data.records import Candidate, Pair, Preference, Prompt, Run
from data.store import Store
from train import dpo, sample, vader
from train.comparison.arms import sampled
from train.comparison.duels import BASE, ORACLE, all_duels, means
from train.preference.labelled import Labelled
from train.sampling.prompts import read

LEAST_GAP = 0.05
"""Pairs whose oracle scores lie closer than this are not trained on."""


def oracle_labels(db: str, made: Sequence[Candidate]) -> Labelled:
    """Best against worst of every prompt by the oracle, where they differ enough."""
    with Store.open(db) as store:
        prompts: dict[str, Prompt] = {one.id: one for one in store.all("prompts")}
    by_prompt: dict[str, dict[str, float]] = {}
    for clip in made:
        score = shapes.judge(clips.read(clip)[0], prompts[clip.prompt].text)["score"]
        by_prompt.setdefault(clip.prompt, {})[clip.sha256] = float(score)
    labels = [
        label
        for prompt, scores in by_prompt.items()
        if (label := best_worst(prompt, scores)) is not None
    ]
    known = {clip.sha256: clip for clip in made}
    return Labelled(
        preferences=tuple(sorted(labels, key=lambda label: label.pair)),
        clips={sha: known[sha] for label in labels for sha in (label.chosen, label.rejected)},
        prompts={label.prompt: prompts[label.prompt] for label in labels},
        left_out={"even": len(by_prompt) - len(labels)},
        snapshot=0,
    )


def best_worst(prompt: str, scores: Mapping[str, float]) -> Preference | None:
    """The pair of one prompt; None where the oracle sees too small a difference."""
    best, worst = (pick(scores, key=lambda sha: scores[sha]) for pick in (max, min))
    if scores[best] - scores[worst] < LEAST_GAP:
        return None
    return Preference(
        pair=Pair.of(best, worst, prompt=prompt).id,
        prompt=prompt,
        chosen=best,
        rejected=worst,
        probability=1.0,
        source="auto",
        evidence=("oracle",),
    )


def timed(what: str, seconds: dict[str, float], job):
    """The result of `job`, its wall time noted."""
    say(f"-- {what}")
    started = time.monotonic()
    result = job()
    seconds[what] = round(time.monotonic() - started, 1)
    return result


def run(options: argparse.Namespace, folder: Path) -> dict[str, object]:
    """Sample, label, train both ways, judge; the results as JSON values."""
    db, out, seconds = str(folder / "gain.duckdb"), str(folder / "runs"), {}
    sampling = sample.Config(
        db=db, model=options.model, prompts=f"builtin:{options.train}", seed=options.seed
    )
    made = timed("sample", seconds, lambda: sample.run(sampling))
    labels = timed("oracle labels", seconds, lambda: oracle_labels(db, made))
    common = {"db": db, "model": options.model, "seed": options.seed, "grid": 0, "out": out}
    by_dpo = dpo.Config(
        steps=options.dpo_steps, labels="auto", held_out=0.0, weights="none", **common
    )
    arms: dict[str, Run] = {"dpo": timed("dpo", seconds, lambda: dpo.run(by_dpo, labels))}
    if options.vader_steps:
        by_vader = vader.Config(steps=options.vader_steps, reward="shapes", **common)
        arms["vader"] = timed("vader", seconds, lambda: vader.run(by_vader))
    adapters = {name: Path(run.folder) / "adapter" for name, run in arms.items()}
    new = [prompt.text for prompt in read(f"builtin:{options.new}", "test", db=db)]
    judged = timed(
        "judge",
        seconds,
        lambda: sampled(
            options.model,
            {BASE: None, **adapters},
            new,
            Profile(name="none", title="the oracle alone", dimensions=()),
            folder / "clips",
            samples=options.samples,
            seed=options.seed + 1,
            batch=16,
        ),
    )
    mean = {arm: scores[ORACLE] for arm, scores in means(judged).items()}
    rates = {
        one.ours: one.rate for one in all_duels(judged, [*arms, BASE], seed=0) if one.theirs == BASE
    }
    return {
        "model": options.model,
        "pairs": len(labels.preferences),
        "new_prompts": len(new),
        "samples": options.samples,
        "seed": options.seed,
        "oracle": mean,
        "wins_against_base": {
            arm: {"share": rate.share, "low": rate.low, "high": rate.high, "n": rate.n}
            for arm, rate in rates.items()
        },
        "metrics": {arm: dict(run.metrics) for arm, run in arms.items()},
        "seconds": seconds,
    }


def show(found: Mapping[str, object]) -> str:
    """The table."""
    wins, mean = found["wins_against_base"], found["oracle"]
    assert isinstance(wins, dict)
    assert isinstance(mean, dict)
    rows = [("base (floor)", f"{mean[BASE]:.3f}", "50.0%", "", "")]
    for arm, rate in wins.items():
        span = f"{rate['low']:.1%} to {rate['high']:.1%}"
        ratio = f"{mean[arm] / mean[BASE]:.2f}x"
        rows.append((arm, f"{mean[arm]:.3f}", f"{rate['share']:.1%}", span, ratio))
    return table(("arm", "oracle", "wins against base", "95 % interval", "oracle / base"), rows)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--model", default="shapes", help="of the world of `shapes` (default: %(default)s)")
    add("--train", type=int, default=128, help="training prompts, 4 clips each (default: 128)")
    add("--new", type=int, default=128, help="new prompts that are judged (default: 128)")
    add("--samples", type=int, default=1, help="clips per new prompt and arm (default: 1)")
    add("--dpo-steps", type=int, default=100, help="optimizer steps of DPO (default: 100)")
    add(
        "--vader-steps",
        type=int,
        default=30,
        help="optimizer steps of VADER; 0: none (default: 30)",
    )
    add("--seed", type=int, default=0, help="of sampling and training (default: 0)")
    add("--out", type=Path, help="JSON file to write")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = run(options, Path(folder))
    say(show(found))
    say(f"results on `{found['model']}`, {found['new_prompts']} new prompts")
    say(f"seconds: {found['seconds']}")
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
