"""Compare label sources on the same work: how far people agree with OmniScore, and whose arm wins.

    python -m train.compare --db prefs.duckdb --arms auto,human
    python -m train.compare --db prefs.duckdb --arms human,runs/vader-0123456789ab

1. Agreement of the votes with OmniScore, quoted from blind votes (`data.agreement`). 2. Each arm
that names a label source is trained with `train.dpo` on the pairs that *all* of them label, with
the same settings, seed, noise and order of pairs; any other arm is an adapter that exists. 3. The
base model and every arm sample the same held-out prompts from the same noise; clips are judged by
OmniScore and, on `shapes`, by the oracle that nothing was trained on (`train.arms`). 4. Win rates,
ties (within 0.01) as half, with a bootstrap over prompts: a table, `report.json`, and `report.html`
with the clips side by side.

What it says is about this model, these prompts and one training seed: an interval covers the
prompts that were drawn, not another training run. OmniScore as the judge favours the arm that it
labelled.

Left out on purpose: several training seeds, people as judges, and a verdict in words.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from data.agreement import Agreement, agreement
from data.console import say
from data.errors import UserError, user_errors
from data.labels import LABELS
from data.records import Pair, Prompt, Run, Vote
from train.duels import BASE, TIE, all_duels, duel_table, means
from train.options import option, parser

if TYPE_CHECKING:  # these import torch: --help does not wait for it
    from train.arms import Common
    from train.runs import RunFolder

_DEMO = "builtin:32"


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of one comparison."""

    db: str = option("prefs.duckdb", "database with pairs, scores and votes")
    arms: str = option(
        "auto,human", "label sources to train on, or adapters (run id, folder, file)"
    )
    model: str = option("shapes", "`shapes` (built in), a diffusers folder, or a hub id")
    prompts: str = option("", f"text file or builtin:N; empty: db's test prompts, else {_DEMO}")
    samples: int = option(2, "clips per prompt and arm")
    profile: str | None = option(None, "OmniScore profile; none: the one pairs were made with")
    steps: int = option(100, "optimizer steps of each trained arm")
    batch: int = option(16, "pairs per step, and clips sampled at a time")
    lr: float = option(5e-4, "learning rate of each trained arm")
    beta: float = option(1000.0, "DPO's beta of each trained arm")
    weights: str = option("paper", "pair weights: paper, code, max-bin (VideoDPO) or none")
    seed: int = option(0, "of training, sampling and the bootstrap")
    shown: int = option(24, "prompts whose first clips are in the page")
    device: str = option("auto", "cpu, cuda, cuda:1, ...; auto: the GPU where there is one")
    out: str = option("runs", "folder that the comparison's folder is made in")

    def __post_init__(self) -> None:
        """Refuse numbers that compare nothing."""
        for name in ("samples", "steps", "batch"):
            if getattr(self, name) < 1:
                raise UserError(f"--{name} is {getattr(self, name)}; it must be at least 1")
        if not self.names or len(set(self.names)) < len(self.names):
            raise UserError(f"--arms is {self.arms!r}; name each arm once, for example auto,human")

    @property
    def names(self) -> list[str]:
        """The arms, in the order given."""
        return [name.strip() for name in self.arms.split(",") if name.strip()]


def run(config: Config) -> RunFolder:
    """Train, sample, judge and report; returns the comparison's folder.

    Raises:
        UserError: nothing to train on, no prompts, an unknown arm or profile.
    """
    from scorers.run import profile_named
    from train import runs
    from train.arms import sampled
    from train.report import write

    pairs, votes, snapshot = _records(config.db)
    profile = profile_named(config.profile or usual_profile(pairs))
    prompts = held_out_prompts(config)
    agreed = agreement(pairs, votes)
    say(spoken(agreed))
    given = _given_adapters(config)
    labels = _labels(config)
    folder = runs.begin(config.db, "compare", config, out=config.out, snapshot=snapshot)
    trained = _trained(config, labels, folder)
    adapters = given | {name: Path(run.folder) / "adapter" for name, run in trained.items()}
    clips = sampled(
        config.model,
        {BASE: None, **{name: adapters[name] for name in config.names}},
        prompts,
        profile,
        folder.folder / "clips",
        samples=config.samples,
        seed=config.seed,
        batch=config.batch,
        device=config.device,
    )
    duels = all_duels(clips, [*config.names, BASE], seed=config.seed)
    say(duel_table(duels))
    facts = {
        "model": config.model,
        "profile": profile.name,
        "config": folder.record.config,
        "code": folder.record.code,
        "snapshot": snapshot,
        "tie": TIE,
        "prompts": len(prompts),
        "agreement": agreed.as_dict(),
        "pairs": _pair_facts(labels),
        "arms": {name: {"run": run.id, "metrics": run.metrics} for name, run in trained.items()},
        "means": means(clips),
        "duels": [asdict(one) for one in duels],
        "clips": [asdict(clip) for clip in clips],
    }
    runs.write_whole(folder.folder / "report.json", json.dumps(facts, indent=1) + "\n")
    page = write(folder.folder / "report.html", facts, clips, shown=config.shown)
    say(f"report: {page}")
    folder.finish(config.db, {one.name: one.rate.share or 0.0 for one in duels})
    return folder


def spoken(agreed: Agreement) -> str:
    """Agreement with OmniScore in one line, the blind votes first."""
    blind, overall = agreed.blind.agreement, agreed.overall.agreement
    return (
        f"People agree with OmniScore: {blind} of blind votes, {overall} of all that took a side; "
        f"{agreed.overall.ties} ties, {agreed.overall.unusable} unusable, "
        f"{agreed.overall.skips} skipped"
    )


def usual_profile(pairs: Sequence[Pair]) -> str:
    """The profile that most pairs were made with; `lite` where none was scored."""
    count = Counter(pair.profile for pair in pairs if pair.profile)
    return min(count, key=lambda name: (-count[name], name)) if count else "lite"


def held_out_prompts(config: Config) -> list[str]:
    """Prompts that nothing was trained on: those given, or the database's test prompts.

    Raises:
        UserError: there are none, or they belong to the split `train`.
    """
    from data.store import Store
    from train.prompts import read

    with Store.open(config.db) as store:
        known = cast("list[Prompt]", store.all("prompts"))
    there = [prompt.text for prompt in known if prompt.split == "test"]
    if there and not config.prompts:
        return there
    default = _DEMO if config.model == "shapes" else ""
    return [prompt.text for prompt in read(config.prompts, "test", db=config.db, default=default)]


def _records(db: str) -> tuple[list[Pair], list[Vote], int]:
    from data.store import Store

    with Store.open(db) as store:
        pairs, votes = store.all("pairs"), store.all("votes")
        return cast("list[Pair]", pairs), cast("list[Vote]", votes), store.sequence


def _labels(config: Config) -> Common | None:
    """The labels of the arms that are to be trained, on the pairs that all of them label."""
    from train.arms import common
    from train.labelled import Weighting, read

    sources = [name for name in config.names if name in LABELS]
    if not sources:
        return None
    weighting = Weighting(preset=config.weights)
    found = common(
        {one: read(config.db, one, weighting, profile=config.profile) for one in sources}
    )
    say(
        f"{found.pairs} pairs have labels of {' and '.join(sources)}; they choose different clips "
        f"in {found.opposed}; left out: {found.only}"
    )
    return found


def _trained(config: Config, labels: Common | None, folder: RunFolder) -> dict[str, Run]:
    """The run of every arm that names a label source."""
    from train import dpo

    return {
        source: dpo.run(
            dpo.Config(
                db=config.db,
                labels=source,
                model=config.model,
                steps=config.steps,
                batch=config.batch,
                lr=config.lr,
                beta=config.beta,
                weights=config.weights,
                seed=config.seed,
                held_out=0.0,
                grid=0,
                device=config.device,
                out=str(folder.folder / "arms"),
            ),
            labelled,
        )
        for source, labelled in (labels.labelled.items() if labels else ())
    }


def _given_adapters(config: Config) -> dict[str, Path | None]:
    """The files of the arms that are adapters; known before anything is trained."""
    from train.sample import find_adapter

    return {name: find_adapter(config.db, name)[1] for name in config.names if name not in LABELS}


def _pair_facts(labels: Common | None) -> dict[str, Any]:
    if labels is None:
        return {}
    return {"common": labels.pairs, "opposed": labels.opposed, "left_out": dict(labels.only)}


@user_errors
def main(argv: Sequence[str] | None = None) -> int:
    """The command line of this module."""
    options = parser(Config, "python -m train.compare", __doc__ or "")
    run(Config(**vars(options.parse_args(argv))))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
