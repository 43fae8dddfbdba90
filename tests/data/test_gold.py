"""Gold pairs: made from the campaign's clips, their answer decided, and never a label."""

from __future__ import annotations

import numpy as np
import pytest

from data import clips, gold, pair, video
from data.decisions import gold as expected_answers
from data.records import Candidate, Decision, Pair, Prompt, Vote
from data.store import Store, add

PROMPTS = [Prompt(text=text) for text in ("a red disc", "a red square", "two blue fish at night")]


def film(seed: int, *, speed: int = 3) -> np.ndarray:
    frames = np.full((8, 64, 64, 3), 30, np.uint8)
    for time in range(8):
        at = 4 + speed * time
        frames[time, 10:50, at : at + 20] = (40 * seed + 60, 250 - 40 * seed, 90)
    return frames


@pytest.fixture
def db(tmp_path):
    """Two clips and their pair for each of three prompts."""
    place, records = tmp_path / "prefs.duckdb", list(PROMPTS)
    for number, prompt in enumerate(PROMPTS):
        two = []
        for which in range(2):
            path = tmp_path / f"{number}{which}.mkv"
            video.write(path, film(number, speed=2 + which), 8, lossless=True)
            two.append(clips.admit(place, path, prompt=prompt, model="m"))
        records += two
        records.append(
            Pair.of(two[0].sha256, two[1].sha256, prompt=prompt.id, strategy="t", profile="lite")
        )
    add(place, records)
    return place


def made(db, **config) -> tuple[dict[str, Candidate], list[Pair], list[Decision]]:
    gold.run(gold.Config(db=str(db), **config))
    with Store.open(db) as store:
        candidates = {clip.sha256: clip for clip in store.all("candidates")}
        return candidates, [p for p in store.all("pairs") if not p.trains], store.all("decisions")


def test_every_kind_is_made_in_turn_and_the_better_clip_is_known(db):
    candidates, pairs, decisions = made(db, n=5)
    known = expected_answers(decisions)
    kinds = [one.strategy.removeprefix("gold:") for one in pairs]
    assert sorted(kinds) == ["blurred", "frozen", "identical", "mismatched", "shuffled"]
    for one, kind in zip(pairs, kinds, strict=True):
        (copy,) = (c for c in (one.a, one.b) if candidates[c].model == f"gold:{kind}")
        source = one.b if copy == one.a else one.a
        assert known[one.id].expected == (None if kind == "identical" else source)
        assert (known[one.id].use, known[one.id].kind) == ("gold", kind)
        assert one.prompt == candidates[source].prompt == candidates[copy].prompt
        assert (one.profile, one.best, one.margin) == ("lite", None, None)
        before, after = clips.read(candidates[source])[0], clips.read(candidates[copy])[0]
        assert (before == after).all() == (kind == "identical")
        assert clips.playable(db, copy).is_file()


def test_a_mismatched_copy_is_the_clip_of_the_least_similar_prompt(db):
    """Jaccard of words: `a red disc` shares 2 of 4 with `a red square`, 0 of 8 with the fish."""
    candidates, pairs, _ = made(db, n=6, kinds=("mismatched",))
    fish = PROMPTS[2].id
    for one in pairs:
        (copy,) = (c for c in (one.a, one.b) if candidates[c].model == "gold:mismatched")
        shown = clips.read(candidates[copy])[0]
        originals = [c for c in candidates.values() if c.model == "m"]
        (of,) = (c for c in originals if np.array_equal(clips.read(c)[0], shown))
        assert (of.prompt == fish) == (one.prompt != fish)


def test_the_same_command_again_adds_nothing_and_a_larger_one_adds_the_rest(db):
    config = {"kinds": ("blurred", "identical"), "seed": 1}
    first = gold.run(gold.Config(db=str(db), n=4, **config))
    assert first.new == 12  # a copy, a pair and a decision each
    assert gold.run(gold.Config(db=str(db), n=4, **config)).new == 0
    assert gold.run(gold.Config(db=str(db), n=7, **config)).new == 9
    most = gold.run(gold.Config(db=str(db), n=99, **config))
    assert sum(most.made.values()) == 12  # six clips, two kinds


def test_practice_tells_no_answer_of_a_gold_pair(db):
    """Six clips in five kinds are thirty pairs: ten of each use need not meet."""
    made(db, n=10)
    _, pairs, _ = made(db, n=10, use="practice")
    asked = [(one.a, one.b) for one in pairs]
    assert len(asked) == len(set(asked)) == 20


def test_nothing_pairs_gold_copies_and_they_never_train(db):
    _, pairs, _ = made(db, n=5)
    for number, one in enumerate(pairs):
        vote = {"id": f"v{number}", "pair": one.id, "annotator": "anna", "outcome": "preference"}
        add(db, [Vote(**vote, left=one.a, right=one.b, preferred=one.a)])
    pair.run(pair.Config(db=str(db), strategy="all", campaign="later"))
    with Store.open(db) as store:
        later = [one for one in store.all("pairs") if one.campaign == "later"]
        copies = {c.sha256 for c in store.all("candidates") if c.model.startswith("gold:")}
        labelled = store.labels("human")
    assert len(later) == 3
    assert not copies & {clip for one in later for clip in (one.a, one.b)}
    assert len(labelled) == 0


def test_clips_that_stand_still_are_passed_over(tmp_path):
    db, prompt = tmp_path / "prefs.duckdb", PROMPTS[0]
    two = []
    for number in range(2):
        path = tmp_path / f"{number}.mkv"
        video.write(path, np.full((8, 48, 48, 3), 60 * number, np.uint8), 8, lossless=True)
        two.append(clips.admit(db, path, prompt=prompt, model="m"))
    add(db, [prompt, *two, Pair.of(two[0].sha256, two[1].sha256, prompt=prompt.id)])
    report = gold.run(gold.Config(db=str(db), kinds=("frozen", "mismatched", "identical")))
    assert report.made == {"identical": 2}
    assert report.passed_over == {"frozen": 2, "mismatched": 2}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--kinds", "frozen,ugly"], "--kinds has 'ugly'"),
        (["-n", "0"], "-n is 0"),
        (["--campaign", "none"], "Campaign 'none' has no pairs"),
    ],
)
def test_mistakes_are_one_line(db, capsys, options, said):
    assert gold.main(["--db", str(db), *options]) == 2
    assert capsys.readouterr().err.startswith(said)


def test_the_command_says_what_to_run_next(db, capsys):
    assert gold.main(["--db", str(db), "-n", "2", "--use", "practice"]) == 0
    said = capsys.readouterr().out
    assert "2 practice pairs in campaign 'default'" in said
    assert f"python -m annotate.campaign --db {db} set default --practice 2" in said
