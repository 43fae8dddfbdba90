"""Do posterior labels need fewer votes? Simulated annotators, a biased OmniScore, and the oracle.

    python -m benchmarks.closed_loop labels --out labels.json
    python -m benchmarks.closed_loop train --rounds 2 --seeds 3 --folder loop --out loop.json
    python -m benchmarks.closed_loop figure labels.json loop.json --out loop.svg

`labels` trains nothing: the built-in model samples a pool of clips, all pairs of a prompt that the
oracle tells apart are scored by a profile that is biased on purpose (`benchmarks/simulated.py`),
and simulated annotators answer more and more of them. Per number of votes: the share of all pairs
whose label is right by the oracle (no label counts half), the same among the pairs that were voted
on, and the log-loss, for `auto`, `human`, the calibrated score without a pair's own votes, and
`posterior`; asked in `random` order and `uncertain` first.

`train` closes the loop: every round samples clips from the arm's adapter, scores, asks, labels, and
goes on training that adapter by DPO; after each round the oracle judges a clip of each new prompt,
from the same noise for every arm, so that arms meet clip by clip (`benchmarks/loop_report.py`).
What --out holds already is not run again: call it in pieces, and with other --votes for arms that
differ in them.

The floor is `auto`, which no vote reaches. The pool is one; seeds draw votes and order (`labels`),
or everything (`train`). The label and the judge are one oracle: this measures how fast labels get
right, not what people would like. Results on `shapes`, with programs as annotators.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.loop_report import ARMS, Row, draw, show_train, who
from benchmarks.simulated import Crowd, Material, asked, biased, judged, pool, quality
from data.console import say, table
from data.labels import LABELS
from data.profile import Profile
from data.records import Candidate, Preference, Prompt, Vote
from data.store import Store
from train import dpo
from train.comparison.arms import sampled
from train.comparison.duels import BASE, ORACLE
from train.preference.labelled import Labelled
from train.sampling.prompts import read

CROWD = Crowd({"w0": 0.85, "w1": 0.8, "w2": 0.75, "w3": 0.7})
STEP = 25
"""Questions between two looks at the posterior, where it says what to ask."""


def label_stage(options: argparse.Namespace, db: str) -> dict[str, Any]:
    """Quality per source, order, number of votes and seed."""
    profile = biased()
    material = judged(db, pool(db, "", options.prompts, 0), profile)
    say(f"{len(material.pairs)} pairs that the oracle tells apart, of {options.prompts} prompts")
    rows = []
    for seed in range(options.seeds):
        for order in ("random", "uncertain"):
            votes = asked(material, CROWD, order, max(options.votes), step=STEP, seed=seed)
            for count in options.votes:
                for source in (*ARMS, "calibrated"):
                    found = quality(material, votes[:count], source)
                    rows.append(
                        {"seed": seed, "order": order, "votes": count, "source": source, **found}
                    )
        say(f"seed {seed} done")
    return {"pairs": len(material.pairs), "crowd": dict(CROWD.accuracy), "rows": rows}


def needed(rows: Sequence[Mapping[str, Any]], measure: str, votes: int, order: str) -> float | None:
    """Votes with which `posterior` is as right as `human` is with `votes`; None: not reached.

    Linear between the numbers of votes that were measured, on the means over seeds.
    """
    goal = mean(rows, measure, "human", votes, order)
    counts = sorted({row["votes"] for row in rows})
    reached = [(count, mean(rows, measure, "posterior", count, order)) for count in counts]
    if reached[0][1] >= goal:
        return float(reached[0][0])
    for (low, before), (high, after) in pairwise(reached):
        if before < goal <= after:
            return low + (goal - before) / (after - before) * (high - low)
    return None


def mean(
    rows: Sequence[Mapping[str, Any]], measure: str, source: str, votes: int, order: str
) -> float:
    """Over seeds."""
    return statistics.fmean(
        row[measure]
        for row in rows
        if (row["source"], row["votes"], row["order"]) == (source, votes, order)
    )


def show_labels(found: Mapping[str, Any]) -> str:
    """A table per order of asking."""
    rows, parts = found["rows"], []
    for order in ("random", "uncertain"):
        counts = sorted({row["votes"] for row in rows})
        lines = [
            (
                count,
                *(f"{mean(rows, 'right', s, count, order):.3f}" for s in (*ARMS, "calibrated")),
                *(f"{mean(rows, 'voted_right', s, count, order):.3f}" for s in ARMS[1:]),
                *(f"{mean(rows, 'log_loss', s, count, order):.3f}" for s in ARMS),
            )
            for count in counts
        ]
        header = ("votes", *ARMS, "calibrated", "human, voted", "posterior, voted")
        losses = tuple(f"loss {arm}" for arm in ARMS)
        parts += [f"asked in order: {order}", table((*header, *losses), lines), ""]
    return "\n".join(parts)


def labelled(material: Material, votes: Sequence[Vote], arm: str, db: str) -> Labelled:
    """Labels of the arm as training takes them, all of weight 1."""
    rule = LABELS[arm]
    labels: list[Preference] = rule(
        material.pairs, material.scores, votes, profile=material.profile
    )
    with Store.open(db) as store:
        made = {one.sha256: one for one in store.all("candidates") if isinstance(one, Candidate)}
        prompts = {one.id: one for one in store.all("prompts") if isinstance(one, Prompt)}
    return Labelled(
        preferences=tuple(sorted(labels, key=lambda label: label.pair)),
        clips={clip: made[clip] for one in labels for clip in (one.chosen, one.rejected)},
        prompts={label.prompt: prompts[label.prompt] for label in labels},
        left_out={},
        snapshot=0,
    )


def judge(
    options: argparse.Namespace, adapter: Path | None, folder: Path, seed: int
) -> dict[str, float]:
    """The oracle's score of one clip per new prompt, from the seed's noise: alike for every arm."""
    new = [prompt.text for prompt in read(f"builtin:{options.new}", "test", db=f"{folder}.duckdb")]
    none = Profile(name="none", title="the oracle alone", dimensions=())
    clips = sampled(
        "shapes", {"arm": adapter}, new, none, folder, samples=1, seed=7000 + seed, batch=16
    )
    return {clip.prompt: clip.scores[ORACLE] for clip in clips}


def one_round(
    options: argparse.Namespace, folder: Path, arm: str, before: str, *, seed: int, number: int
) -> Row:
    """Sample, score, ask, train, judge; the adapter is the next round's."""
    name = f"{arm}-{options.votes}{'' if options.order == 'random' else '-' + options.order}"
    profile, db = biased(), str(folder / f"round{number}-{name if before else BASE}.duckdb")
    made = pool(db, before, options.prompts, 1000 * seed + number - 1)
    material = judged(db, made, profile)
    votes = (
        []
        if arm == "auto"
        else asked(material, CROWD, options.order, options.votes, step=STEP, seed=seed)
    )
    config = dpo.Config(
        db=db, labels=arm, steps=options.steps, held_out=0.0, weights="none", grid=0, seed=seed,
        out=str(folder / "runs"), from_adapter=before or None,
    )  # fmt: skip
    adapter = Path(dpo.run(config, labelled(material, votes, arm, db)).folder) / "adapter"
    return {
        "seed": seed, "arm": arm, "a_round": options.votes, "round": number,
        "order": options.order, "steps": options.steps, "pairs": len(material.pairs),
        "votes": number * len(votes), "label_right": quality(material, votes, arm)["right"],
        "adapter": str(adapter),
        "oracle": judge(options, adapter, folder / f"judged{number}-{name}", seed),
    }  # fmt: skip


def train_stage(options: argparse.Namespace, folder: Path) -> list[Row]:
    """Every arm, seed and round that --out does not hold yet."""
    out: Path | None = options.out
    rows: list[Row] = json.loads(out.read_text())["rows"] if out and out.exists() else []

    def keep(row: Row) -> Row:
        rows.append(row)
        if out:
            out.write_text(json.dumps({"rows": rows}, indent=1) + "\n")
        return row

    done = {(row["seed"], *who(row)): row for row in rows}
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        home = folder / f"seed{seed}"
        home.mkdir(parents=True, exist_ok=True)
        if (seed, BASE, 0, 0) not in done:
            found = judge(options, None, home / "judged-base", seed)
            keep({"seed": seed, "arm": BASE, "a_round": 0, "round": 0, "oracle": found})
        for arm in options.arms:
            before = ""
            for number in range(1, options.rounds + 1):
                wanted = {"arm": arm, "a_round": options.votes, "round": number}
                row = done.get((seed, *who(wanted | {"order": options.order}))) or keep(
                    one_round(options, home, arm, before, seed=seed, number=number)
                )
                before = row["adapter"]
    return rows


def main() -> None:
    """The command line."""
    options = _parser().parse_args()
    if options.stage == "figure":
        labels, trained = (json.loads(one.read_text())["rows"] for one in options.measured)
        draw(labels, trained, options.out)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(options.folder or scratch)
        folder.mkdir(parents=True, exist_ok=True)
        if options.stage == "labels":
            found = label_stage(options, str(folder / "pool.duckdb"))
            if options.out:
                options.out.write_text(json.dumps(found, indent=1) + "\n")
            say(show_labels(found))
            for count in options.votes[1:]:
                for order in ("random", "uncertain"):
                    fewer = needed(found["rows"], "right", count, order)
                    told = "not reached" if fewer is None else f"{fewer:.0f}, {fewer / count:.2f}x"
                    say(f"as right as human with {count} votes ({order}): posterior {told}")
        else:
            say(show_train(train_stage(options, folder)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    stages = parser.add_subparsers(dest="stage", required=True, metavar="COMMAND")
    label, train = stages.add_parser("labels"), stages.add_parser("train")
    drawn = stages.add_parser("figure")
    drawn.add_argument("measured", type=Path, nargs=2, help="--out of labels, --out of train")
    drawn.add_argument("--out", type=Path, required=True, help="SVG file to write")
    for stage, prompts in ((label, 100), (train, 64)):
        add = stage.add_argument
        add("--prompts", type=int, default=prompts, help="training prompts, 4 clips each")
        add("--seeds", type=int, default=3, help="how many (default: 3)")
        add("--folder", help="keeps clips and runs here (default: a temporary one)")
        add("--out", type=Path, help="JSON file to write; `train` goes on from it")
    label.add_argument("--votes", type=int, nargs="+", default=[0, 25, 50, 100, 200, 400])
    add = train.add_argument
    add("--votes", type=int, default=64, help="per round and arm (default: 64)")
    add("--rounds", type=int, default=2, help="(default: 2)")
    add("--arms", nargs="+", default=list(ARMS), help="(default: all three)")
    add("--order", default="random", choices=("random", "uncertain"))
    add("--steps", type=int, default=120, help="optimizer steps per round (default: 120)")
    add("--new", type=int, default=256, help="new prompts that are judged (default: 256)")
    add("--first-seed", type=int, default=0, help="to run seeds in pieces (default: 0)")
    return parser


if __name__ == "__main__":
    main()
