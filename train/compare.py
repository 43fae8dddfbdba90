"""Compare label sources on the same work: how far people agree with OmniScore, and whose arm wins.

    python -m train.compare --db prefs.duckdb --arms auto,human,posterior --people 1
    python -m train.compare --finish runs/compare-0123456789ab          # after people have voted
    python -m train.compare --db prefs.duckdb --arms human,runs/vader-0123456789ab

1. Agreement of the votes with OmniScore, quoted from blind votes (`data.agreement`). 2. Each arm
that names a label source is trained with `train.dpo` on the pairs that *all* of them label, with
the same settings, seed, noise and order of pairs (`train.comparison.entrants`); any other arm is an
adapter that exists. 3. The base model and every arm sample the same held-out prompts from the same
noise, with image-to-video models from the same first images (`train.comparison.images`); clips are
judged by OmniScore, by a scorer that no arm was trained on (`--judge`), and on `shapes` by the
oracle (`train.comparison.arms`). 4. Win rates, ties (within 0.01) as half, with a bootstrap over
prompts: a table, `report.json`, and `report.html` with the clips side by side. 5. With `--people`
the clips become blind pairs in a campaign of their own; once people have voted on them in the app,
`--finish` adds who won by their votes (`train.comparison.panel`).

What it says is about this model, these prompts and one training seed: an interval covers the
prompts that were drawn, not another training run. OmniScore as the judge favours the arm that it
labelled.

Left out on purpose: several training seeds, and a verdict in words.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import scorers
from data.agreement import Agreement, agreement
from data.console import say
from data.decisions import counted
from data.errors import UserError, user_errors
from data.records import Decision, Pair, Prompt, Vote
from data.store import Store
from train.comparison.duels import BASE, TIE, Duel, Sampled, all_duels, duel_table, means
from train.options import option, parser

if TYPE_CHECKING:  # these import torch: --help does not wait for it
    from train.run.runs import RunFolder

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
    image: str = option("", "image-to-video: first image of prompts whose table names none")
    samples: int = option(2, "clips per prompt and arm")
    profile: str | None = option(None, "OmniScore profile; none: the one pairs were made with")
    steps: int = option(100, "optimizer steps of each trained arm")
    batch: int = option(16, "pairs per step, and clips sampled at a time")
    lr: float = option(5e-4, "learning rate of each trained arm")
    beta: float = option(1000.0, "DPO's beta of each trained arm")
    weights: str = option("paper", "pair weights: paper, code, max-bin (VideoDPO) or none")
    seed: int = option(0, "of training, sampling and the bootstrap")
    judge: str = option(
        "", "scorer that no arm was trained on, as a further judge (scorers --list)"
    )
    people: int = option(0, "people asked to judge each pair of arms, blind, in the app; 0: none")
    questions: str = option("", "further questions to them, such as visual,motion,alignment")
    shown: int = option(24, "prompts whose first clips are in the page")
    device: str = option("auto", "cpu, cuda, cuda:1, ...; auto: the GPU where there is one")
    out: str = option("runs", "folder that the comparison's folder is made in")

    def __post_init__(self) -> None:
        """Refuse numbers that compare nothing."""
        if self.people < 0:
            raise UserError(f"--people is {self.people}; it must be 0 (nobody) or more")
        for name in ("samples", "steps", "batch"):
            if getattr(self, name) < 1:
                raise UserError(f"--{name} is {getattr(self, name)}; it must be at least 1")
        if not self.names or len(set(self.names)) < len(self.names):
            raise UserError(f"--arms is {self.arms!r}; name each arm once, for example auto,human")
        if self.judge in scorers.JUDGES:
            raise UserError(
                f"--judge {self.judge} compares clips two by two, and here each clip gets a value "
                "of its own; name a scorer (python -m scorers --list), or ask people with --people"
            )
        if self.judge and self.judge not in (able := (*scorers.names(), *scorers.ALIASES)):
            raise UserError(f"--judge is {self.judge!r}; it must be one of {', '.join(able)}")

    @property
    def names(self) -> list[str]:
        """The arms, in the order given."""
        return [name.strip() for name in self.arms.split(",") if name.strip()]


def run(config: Config) -> RunFolder:
    """Train, sample, judge and report; returns the comparison's folder.

    Raises:
        UserError: nothing to train on, no prompts, an unknown arm or profile.
    """
    from scorers.run import demand_weights, profile_in
    from train.comparison.arms import sampled
    from train.comparison.entrants import costs, found, trained
    from train.comparison.images import begun
    from train.run import runs
    from train.sampling.first_image import PATH
    from train.sampling.origin import find_adapter

    pairs, votes, snapshot = _records(config.db)
    entrants = found(config)
    profile = profile_in(config.db, config.profile or usual_profile(pairs))
    demand_weights((*profile.scorers, *filter(None, [config.judge])))
    prompts = held_out_prompts(config)
    memories = begun(config, prompts)
    agreed = agreement(pairs, votes)
    say(spoken(agreed))
    folder = runs.begin(config.db, "compare", config, out=config.out, snapshot=snapshot)
    made = trained(config, entrants.labels, folder.folder / "arms")
    adapters = {
        **entrants.given,
        **{name: Path(run.folder) / "adapter" for name, run in made.items()},
    }
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
        judge=config.judge,
        begun=memories,
    )
    facts = {
        "model": config.model,
        "profile": profile.name,
        "config": folder.record.config,
        "code": folder.record.code,
        "snapshot": snapshot,
        "tie": TIE,
        "prompts": len(prompts),
        "images": {text: memory[PATH] for text, memory in memories.items()},
        "agreement": agreed.as_dict(),
        "pairs": entrants.pairs(),
        "arms": {name: {"run": run.id, "metrics": run.metrics} for name, run in made.items()},
        "costs": costs(entrants.labels, made, votes),
        "means": means(clips),
        "clips": [asdict(clip) for clip in clips],
    }
    duels = all_duels(clips, [*config.names, BASE], seed=config.seed)
    if config.people:
        given = {name: find_adapter(config.db, name)[0] for name in entrants.given}
        adapter = given | {name: run.id for name, run in made.items()}
        arms = {name: adapter[name] for name in config.names} | {BASE: ""}
        facts["panel"] = _asked(config, folder, clips, arms, memories)
    _reported(folder, facts, duels)
    return folder


def finish(run_folder: str) -> RunFolder:
    """Read the votes of a comparison's campaign, and write its report anew with them.

    Raises:
        UserError: not a comparison, one without `--people`, or one that was not finished.
    """
    from train.comparison.panel import Meeting, kept, verdicts
    from train.run import runs

    folder = runs.reopen(run_folder, "compare", {})
    config = folder.settings(Config)
    facts = kept(folder.folder)
    if "panel" not in facts:
        raise UserError(f"{run_folder} asked nobody. Compare again with --people 1")
    meetings = [Meeting(**one) for one in facts["panel"]["meetings"]]
    with Store.open(config.db) as store:
        decisions = cast("list[Decision]", store.all("decisions"))
        votes = counted(cast("list[Vote]", store.all("votes")), decisions)
    said = verdicts(meetings, votes, seed=config.seed)
    say(
        f"{said.votes} votes of {said.people} people in {said.minutes:.1f} minutes; "
        f"{said.unusable} unusable; {said.open} of {len(meetings)} pairs of arms have none yet"
    )
    facts["people"] = {key: value for key, value in asdict(said).items() if key != "duels"}
    clips = [Sampled(**one) for one in facts["clips"]]
    duels = [*said.duels, *all_duels(clips, [*config.names, BASE], seed=config.seed)]
    _reported(folder, facts, duels)
    return folder


def _asked(
    config: Config,
    folder: RunFolder,
    clips: Sequence[Sampled],
    arms: Mapping[str, str],
    begun: Mapping[str, Mapping[str, str]],
) -> dict[str, Any]:
    """Put the arms' clips before people, told by their adapters; what the report keeps of it."""
    from train.comparison import panel

    questions = [name.strip() for name in config.questions.split(",") if name.strip()]
    meetings = panel.ask(
        config.db, folder.record.id, clips, arms, model=Path(config.model).name,
        questions=questions, people=config.people, begun=begun,
    )  # fmt: skip
    campaign = panel.campaign_of(folder.record.id)
    say(
        f"{sum(bool(one.pair) for one in meetings)} pairs wait for people (blind). Vote with: "
        f"python app.py --db {config.db} --campaign {campaign} (in an app that runs, choose it at "
        f"the top of the page), then: python -m train.compare --finish {folder.folder}"
    )
    return panel.facts(meetings, folder.record.id)


def _reported(folder: RunFolder, facts: dict[str, Any], duels: Sequence[Duel]) -> None:
    """Table, JSON and page; and the run's record, with every win rate."""
    from train.comparison.report import write
    from train.run import runs

    config = folder.settings(Config)
    say(duel_table(duels))
    facts["duels"] = [asdict(one) for one in duels]
    runs.write_whole(folder.folder / "report.json", json.dumps(facts, indent=1) + "\n")
    clips = [Sampled(**one) for one in facts["clips"]]
    page = write(folder.folder / "report.html", facts, clips, shown=config.shown)
    say(f"report: {page}")
    folder.finish(config.db, {one.name: one.rate.share or 0.0 for one in duels})


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
    from train.sampling.prompts import read

    with Store.open(config.db) as store:
        known = cast("list[Prompt]", store.all("prompts"))
    there = [prompt.text for prompt in known if prompt.split == "test"]
    if there and not config.prompts:
        return there
    default = _DEMO if config.model == "shapes" else ""
    return [prompt.text for prompt in read(config.prompts, "test", db=config.db, default=default)]


def _records(db: str) -> tuple[list[Pair], list[Vote], int]:
    """Pairs that may become labels, the votes that count, and the number of the last vote."""
    with Store.open(db) as store:
        pairs = [pair for pair in cast("list[Pair]", store.all("pairs")) if pair.trains]
        decisions = cast("list[Decision]", store.all("decisions"))
        return pairs, counted(cast("list[Vote]", store.all("votes")), decisions), store.sequence


@user_errors
def main(argv: Sequence[str] | None = None) -> int:
    """The command line of this module."""
    options = parser(Config, "python -m train.compare", __doc__ or "")
    options.add_argument("--finish", metavar="RUN", help="folder of a comparison people voted on")
    given: dict[str, Any] = vars(options.parse_args(argv))
    if "finish" not in given:
        run(Config(**given))
        return 0
    if others := sorted(set(given) - {"finish"}):
        raise UserError(f"--finish keeps the comparison's own settings: leave out --{others[0]}")
    finish(given["finish"])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
