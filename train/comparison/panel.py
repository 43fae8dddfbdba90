"""People judge the arms of a comparison: their clips as blind pairs in a campaign, and the votes.

Every two arms meet at every prompt with their first clips, from the same noise. The clips are
admitted to the database like any other, so the pairs are voted on in the same app, in a campaign of
their own, in which no score is shown before an answer. Two arms whose clips are equal byte for byte
need nobody: that is a tie, and it is counted as one.

The prompts are in the split `test`, so the clips are judged, and never trained on.

Left out on purpose: more than the first clip per prompt and arm (more prompts say more).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from data import clips as media
from data import provenance
from data.agreement import win_rate
from data.errors import UserError
from data.records import Candidate, Decision, Pair, Prompt, Vote
from data.store import Store
from data.votes import live_votes
from train.comparison.duels import Duel, Sampled

STRATEGY = "compare"
PEOPLE = "people"
_TITLE = "Which clip is better?"
_TITLE_OF_IMAGES = "Both clips begin with the same image. Which clip is better?"


@dataclass(frozen=True, kw_only=True)
class Meeting:
    """Two arms at one prompt."""

    ours: str
    theirs: str
    prompt: str
    """Its text."""
    pair: str | None
    """`Pair.id`; None where the two clips are equal byte for byte."""
    clip: str
    """Hash of our clip."""


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """What people said about the arms so far."""

    duels: tuple[Duel, ...]
    votes: int
    """Votes that judged; skips and unusable pairs are not among them."""
    unusable: int
    people: int
    minutes: float
    """That people spent on the campaign's pairs, from showing to answering."""
    open: int
    """Meetings without a vote that judges."""


def ask(
    db: str, run: str, sampled: Sequence[Sampled], arms: Mapping[str, str], *, model: str,
    questions: Sequence[str], people: int, begun: Mapping[str, Mapping[str, str]],
) -> list[Meeting]:  # fmt: skip
    """Put every meeting into the campaign `compare-<run>` of the database.

    Args:
        db: The database.
        run: Id of the comparison.
        sampled: Clips of every arm; the first of each prompt is used.
        arms: Adapter of each arm as records name it (empty for the base model), in the order in
            which they meet.
        model: The base model, for people who look a clip up.
        questions: Keys of `annotate/questions.py`, besides the overall one.
        people: Who answer each pair.
        begun: What the clips of each prompt remember of their first image; empty for text-to-video.
    """
    first = [clip for clip in sampled if clip.index == 0]
    prompts = {
        text: Prompt(text=text, split="test") for text in dict.fromkeys(c.prompt for c in first)
    }
    admitted = {
        (clip.arm, clip.prompt): media.admit(
            db, clip.path, prompt=prompts[clip.prompt], model=model, adapter=arms[clip.arm],
            settings={"compare": run, "arm": clip.arm} | dict(begun.get(clip.prompt, {})),
        )
        for clip in first
    }  # fmt: skip
    campaign = campaign_of(run)
    met = list(_meetings(admitted, prompts, list(arms), campaign))
    settings = Decision(
        id=str(uuid.uuid5(uuid.NAMESPACE_URL, campaign)),
        topic="campaign",
        subject=campaign,
        values={
            "name": campaign,
            "title": _TITLE if not begun else _TITLE_OF_IMAGES,
            "blind": 1.0,
            "redundancy": people,
            "questions": [*questions, "overall"],
        },
        by="train.compare",
        time_ms=provenance.now_ms(),
    )
    with Store.open(db) as store:
        store.add([*prompts.values(), *admitted.values(), *(pair for _, pair in met if pair)])
        store.add([settings])
    return [meeting for meeting, _ in met]


def campaign_of(run: str) -> str:
    """The campaign in which a comparison's clips are judged."""
    return f"compare-{run}"


def _meetings(
    admitted: Mapping[tuple[str, str], Candidate],
    prompts: Mapping[str, Prompt],
    arms: Sequence[str],
    campaign: str,
) -> Iterator[tuple[Meeting, Pair | None]]:
    for text, prompt in prompts.items():
        for ours, theirs in combinations(arms, 2):
            one, other = admitted[ours, text].sha256, admitted[theirs, text].sha256
            pair = None
            if one != other:
                pair = Pair.of(one, other, prompt=prompt.id, strategy=STRATEGY, campaign=campaign)
            named = pair.id if pair else None
            yield Meeting(ours=ours, theirs=theirs, prompt=text, pair=named, clip=one), pair


def verdicts(meetings: Sequence[Meeting], votes: Iterable[Vote], *, seed: int) -> Verdicts:
    """Who wins by the votes that stand; ties and equal clips are half a win for each.

    Args:
        meetings: Of the campaign; one pair may be several meetings (two arms with one clip).
        votes: Of people whose votes count; those about other pairs are ignored.
        seed: Of the bootstrap over prompts.
    """
    known = {meeting.pair for meeting in meetings}
    standing = [vote for vote in live_votes(votes) if vote.pair in known]
    judged = [vote for vote in standing if vote.outcome != "skip" and not vote.unusable]
    by_pair: dict[str | None, list[Vote]] = {}
    for vote in judged:
        by_pair.setdefault(vote.pair, []).append(vote)
    asked = sorted({key for vote in judged for key in vote.answers if _answer(vote, key)})
    duels = [
        Duel(measure=measure, ours=ours, theirs=theirs, rate=win_rate(found, seed=seed))
        for measure, key in ((PEOPLE, ""), *((f"{PEOPLE}, {key}", key) for key in asked))
        for (ours, theirs), found in _outcomes(meetings, by_pair, key).items()
    ]
    return Verdicts(
        duels=tuple(duels),
        votes=len(judged),
        unusable=sum(vote.unusable for vote in standing),
        people=len({vote.annotator for vote in standing}),
        minutes=sum(vote.seconds for vote in standing) / 60,
        open=sum(bool(one.pair) and one.pair not in by_pair for one in meetings),
    )


def _outcomes(
    meetings: Sequence[Meeting], by_pair: Mapping[str | None, Sequence[Vote]], key: str
) -> dict[tuple[str, str], list[tuple[str, float]]]:
    """(prompt, 1 win | 0.5 tie | 0 loss) per two arms; `key` empty for the overall answer."""
    found: dict[tuple[str, str], list[tuple[str, float]]] = {}
    for one in meetings:
        if one.pair is None:
            found.setdefault((one.ours, one.theirs), []).append((one.prompt, 0.5))
        for vote in by_pair.get(one.pair, ()) if one.pair else ():
            preferred = _answer(vote, key) if key else (vote.preferred or "tie")
            if preferred is not None:
                won = 0.5 if preferred == "tie" else float(preferred == one.clip)
                found.setdefault((one.ours, one.theirs), []).append((one.prompt, won))
    return found


def _answer(vote: Vote, key: str) -> str | None:
    """The clip preferred in one question, `tie`, or None where it was not answered."""
    sides = {"left": vote.left, "right": vote.right, "tie": "tie"}
    return sides.get(vote.answers.get(key, ""))


def facts(meetings: Sequence[Meeting], run: str) -> dict[str, Any]:
    """What `report.json` keeps of the meetings."""
    return {"campaign": campaign_of(run), "meetings": [asdict(one) for one in meetings]}


def kept(folder: Path) -> dict[str, Any]:
    """What `report.json` holds, with the clips where they are now: the folder may be moved.

    Raises:
        UserError: It is not there, or not what the comparison wrote.
    """
    path = folder / "report.json"
    try:
        facts = json.loads(path.read_text())
        places = [Path(one["path"]).parts[-2:] for one in facts["clips"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} cannot be read ({type(error).__name__}): the comparison has not come to its "
            "end, or the file was changed. Compare again"
        ) from error
    for one, place in zip(facts["clips"], places, strict=True):
        one["path"] = str(folder.joinpath("clips", *place))
    return facts
