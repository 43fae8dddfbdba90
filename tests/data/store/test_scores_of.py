"""The scores of a few clips: the newest of each identity, on both engines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from data.store import Store, add
from tests.data.store.engines import both
from tests.data.store.material import SCORES


@both
def test_the_newest_scores_of_the_clips_that_are_asked_for(path: Path) -> None:
    first = SCORES[0]
    newer = replace(first, value=first.value + 1.0)
    add(path, [newer])
    with Store.open(path) as store:
        found = store.scores_of([first.candidate])
        assert newer in found
        assert first not in found
        assert {one.candidate for one in found} == {first.candidate}
        every = store.scores_of(sorted({one.candidate for one in SCORES}))
        assert sorted(every, key=repr) == sorted(store.all("scores"), key=repr)
        assert store.scores_of([]) == store.scores_of(["none"]) == []
