"""Make pairs whose answer is known: python -m data.gold --db prefs.duckdb --campaign default -n 20.

They check people, not clips: mixed silently among the others (`--use gold`, for the campaign's gold
share), or in the practice round with the answer told after each (`--use practice`). Kinds:

- `frozen`, `shuffled`, `blurred`: a clip of the campaign against a spoiled copy of itself;
- `mismatched`: against a copy of a clip that was made for another prompt, the least alike one;
- `identical`: against a copy with the very same frames; the answer is a tie.

A copy is a clip like any other on the page: the same encoding, opaque address, and scores once the
scorers have run again (do that: a pair without a score among scored ones gives itself away).
Its model is `gold:<kind>`, so that `data.pair` never pairs it, and the pair's strategy is
`gold:<kind>` or `practice:<kind>`, so that its votes never become labels. The expected answer is a
decision (topic `gold`). The same seed makes the same pairs; asking for more adds to them.

Left out on purpose: kinds that experts dispute (a slightly worse sampler), and gold from votes.
"""

from __future__ import annotations

import argparse
import re
import shlex
import sys
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast, get_args

import numpy as np

from data import clips, degrade, provenance, video
from data.console import Parser, say
from data.decisions import GoldUse
from data.errors import UserError, user_errors
from data.pairs import GOLD_MODEL
from data.records import Candidate, Decision, Pair, Prompt, Record, digest
from data.store import Store
from data.store.places import spoken

WHY: dict[str, str] = {
    "frozen": "One of the two clips stands still: it shows one frame throughout.",
    "shuffled": "One of the two clips shows its frames in the wrong order, so it jumps.",
    "blurred": "One of the two clips is out of focus throughout.",
    "mismatched": "One of the two clips was made for another prompt and does not show this one.",
    "identical": "Both clips are the same, frame by frame, so neither is better.",
}
"""What is told in practice, per kind."""
_VOID = b"\xec\x88"  # Matroska: an element of 8 bytes that every reader passes over


@dataclass(frozen=True, kw_only=True)
class Config:
    """What to make."""

    db: str = "prefs.duckdb"
    campaign: str = "default"
    n: int = 20
    kinds: tuple[str, ...] = tuple(WHY)
    use: GoldUse = "gold"
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse unknown kinds and uses, and none at all."""
        unknown = [kind for kind in self.kinds if kind not in WHY]
        if unknown or not self.kinds:
            raise UserError(
                f"--kinds has {unknown[0] if unknown else 'nothing'!r}; there are: {', '.join(WHY)}"
            )
        if self.use not in get_args(GoldUse):
            raise UserError(f"--use is {self.use!r}; it must be gold or practice")
        if self.n < 1:
            raise UserError(f"-n is {self.n}; make at least 1 pair")


@dataclass(frozen=True, kw_only=True)
class Report:
    """What was made."""

    made: Counter[str] = field(default_factory=Counter)
    """Pairs by kind, those that were there already among them."""
    new: int = 0
    passed_over: Counter[str] = field(default_factory=Counter)
    """Clips that a kind had nothing to do with, by kind."""
    profile: str = ""
    """OmniScore profile of the campaign's pairs; empty where they have no score."""


@dataclass(frozen=True, kw_only=True)
class _Source:
    """The clips that a campaign compares."""

    clips: list[Candidate]
    prompts: dict[str, Prompt]
    profile: str


def run(config: Config) -> Report:
    """Make the copies and their pairs.

    Raises:
        UserError: the campaign has no pairs to take clips from, or a clip is gone or broken.
    """
    report = Report()
    with Store.open(config.db) as store:
        source = _source(store, config)
    records: list[Record] = []
    pairs = 0
    for kind, clip in _wishes(config, source):
        if pairs == config.n:
            break
        made = _made(config, source, kind, clip)
        if made is None:
            report.passed_over[kind] += 1
            continue
        pairs += 1
        report.made[kind] += 1
        records += made
    with Store.open(config.db) as store:
        new = store.add(records)
    return replace(report, new=new, profile=source.profile)


def _source(store: Store, config: Config) -> _Source:
    everything = cast("list[Pair]", store.all("pairs"))
    pairs = [pair for pair in everything if pair.campaign == config.campaign and pair.trains]
    used = {clip for pair in pairs for clip in (pair.a, pair.b)}
    candidates = cast("list[Candidate]", store.all("candidates"))
    found = [clip for clip in candidates if clip.sha256 in used]
    if not found:
        raise UserError(
            f"Campaign {config.campaign!r} has no pairs to take clips from; "
            f"make some first: python -m data.pair --db {spoken(config.db)} "
            f"--campaign {shlex.quote(config.campaign)}"
        )
    prompts = {prompt.id: prompt for prompt in cast("list[Prompt]", store.all("prompts"))}
    profile, _ = Counter(pair.profile for pair in pairs).most_common(1)[0]
    return _Source(
        clips=sorted(found, key=lambda clip: digest("gold", config.seed, clip.sha256)),
        prompts=prompts,
        profile=profile,
    )


def _wishes(config: Config, source: _Source) -> list[tuple[str, Candidate]]:
    """Every kind with every clip once, the kinds in turn; for practice from the other end.

    Practice tells its answers, so it has no pair of gold's as long as there are others.
    """
    kinds = config.kinds
    wishes = [
        (kinds[(number + turn) % len(kinds)], clip)
        for turn in range(len(kinds))
        for number, clip in enumerate(source.clips)
    ]
    return wishes[::-1] if config.use == "practice" else wishes


def _made(config: Config, source: _Source, kind: str, clip: Candidate) -> list[Record] | None:
    """The copy, its pair and the expected answer; None where this clip is no good for this kind."""
    frames = _spoiled(config, source, kind, clip)
    if frames is None:
        return None
    copy = _admitted(config, kind, clip, source.prompts[clip.prompt], *frames)
    pair = Pair.of(
        clip.sha256,
        copy.sha256,
        prompt=clip.prompt,
        strategy=f"{config.use}:{kind}",
        campaign=config.campaign,
        profile=source.profile,  # the page shows the profile's name: the same as everywhere
    )
    expected = None if kind == "identical" else clip.sha256
    values = {"expected": expected, "kind": kind, "use": config.use, "why": WHY[kind]}
    decision = Decision(
        id=str(uuid.UUID(digest("gold", pair.id, config.use))),
        topic="gold",
        subject=pair.id,
        values=values,
        by="data.gold",
        time_ms=provenance.now_ms(),
    )
    return [copy, pair, decision]


def _spoiled(
    config: Config, source: _Source, kind: str, clip: Candidate
) -> tuple[np.ndarray, float] | None:
    """Frames of the copy (uint8 "t h w 3") and their rate."""
    if kind == "mismatched":
        other = _least_alike(source, clip)
        return None if other is None else clips.read(other)
    frames, fps = clips.read(clip)
    if kind == "identical":
        return frames, fps
    spoiled = degrade.SPOILED[kind](frames, config.seed)
    return (spoiled, fps) if degrade.seen(frames, spoiled) else None


def _least_alike(source: _Source, clip: Candidate) -> Candidate | None:
    """The clip whose prompt shares the fewest words with this one's (Jaccard), first in order."""
    words = {key: set(re.findall(r"\w+", one.text.lower())) for key, one in source.prompts.items()}
    mine = words[clip.prompt]
    others = [one for one in source.clips if one.prompt != clip.prompt]
    return min(
        others,
        key=lambda one: len(mine & words[one.prompt]) / len(mine | words[one.prompt]),
        default=None,
    )


def _admitted(
    config: Config, kind: str, clip: Candidate, prompt: Prompt, frames: np.ndarray, fps: float
) -> Candidate:
    """Write the copy as a lossless original of its own hash, and take it in."""
    mark = digest("gold", kind, clip.sha256, config.seed)
    path = clips.originals(config.db) / f"{digest('copy', mark)}.mkv"
    if not path.exists():
        _write(path, frames, fps, bytes.fromhex(mark[:16]))
    about = {"of": clip.sha256}
    return clips.admit(
        config.db, path, prompt=prompt, model=f"{GOLD_MODEL}{kind}", settings=about, fps=fps
    )


def _write(path: Path, frames: np.ndarray, fps: float, mark: bytes) -> None:
    """A lossless clip that ends in 8 bytes of its own: equal frames may not make equal files."""
    draft = path.with_name(f"draft-{path.name}")
    video.write(draft, frames, fps, lossless=True)
    with draft.open("ab") as file:
        file.write(_VOID + mark)
    draft.replace(path)


def parser() -> argparse.ArgumentParser:
    """Options of the command."""
    default = Config()
    options = Parser(
        prog="python -m data.gold",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = options.add_argument
    add("--db", default=default.db, help="database (default: %(default)s)")
    add("--campaign", default=default.campaign, help="whose clips are copied, and which gets the "
        "pairs (default: %(default)s)")  # fmt: skip
    add("-n", type=int, default=default.n, help="pairs to make (default: %(default)s)")
    add(
        "--kinds",
        type=lambda text: tuple(text.split(",")),
        default=default.kinds,
        metavar="KIND,...",
        help=f"in turn, of: {', '.join(WHY)} (default: all)",
    )
    add("--use", default=default.use, choices=get_args(GoldUse),
        help="gold: silently among the others; practice: with feedback, before the work "
        "(default: %(default)s)")  # fmt: skip
    add("--seed", type=int, default=default.seed, help="which clips are taken (default: 0)")
    return options


@user_errors
def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    config = Config(**vars(parser().parse_args(argv)))
    report = run(config)
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(report.made.items()))
    made = sum(report.made.values())
    say(f"{made} {config.use} pairs in campaign {config.campaign!r}: {kinds}")
    for kind, count in report.passed_over.items():
        say(f"passed over {count} clips that would look the same {kind}")
    if made < config.n:
        say(f"There are no more clips for {config.n}; pair more, or give more --kinds")
    at = f"--db {shlex.quote(spoken(config.db))}"
    name = shlex.quote(config.campaign)
    if config.use == "gold":
        say("Score the copies as the other clips are, or a pair without a score tells on itself:")
        say(f"  python -m scorers {at} --profile {report.profile or 'lite'}")
        say(f"  python -m annotate.campaign {at} set {name} --gold 0.05")
    else:
        say(f"  python -m annotate.campaign {at} set {name} --practice {made}")


if __name__ == "__main__":
    sys.exit(main())
