"""Clips that only votes are known of: no scorer looks for them, and training says why not."""

from __future__ import annotations

import numpy as np
import pytest

from data import clips, video
from data.errors import UserError
from data.records import Candidate, Prompt
from data.store import Store
from scorers import run as scoring
from train.models import SampleSettings
from train.preference.batches import admit

PROMPT = Prompt(text="a cat")
BARE = Candidate(
    sha256="a" * 64, prompt=PROMPT.id, path="", model="m", fps=0, frames=0, width=0, height=0
)
SETTINGS = SampleSettings(frames=9, height=48, width=48, fps=8.0, steps=4, guidance=1.0)


def test_training_names_what_is_missing():
    for fit in ("exact", "resize"):
        with pytest.raises(UserError, match="only votes on it were taken in"):
            admit([BARE], SETTINGS, fit, "shapes")


def test_scoring_passes_over_them(tmp_path):
    db = tmp_path / "prefs.duckdb"
    with Store.open(db, create=True) as store:
        store.add([PROMPT, BARE])
    with pytest.raises(UserError, match=r"no clips \(of 1 it knows votes alone\)"):
        scoring.run(scoring.Config(db=str(db), profile="lite"))
    video.write(tmp_path / "one.mkv", np.zeros((2, 16, 16, 3), np.uint8), 8, lossless=True)
    with Store.open(db) as store:
        store.add([clips.admit(db, tmp_path / "one.mkv", prompt=PROMPT, model="m")])
    report = scoring.run(scoring.Config(db=str(db), profile="lite"))
    assert (report.judged, report.cached, dict(report.failed)) == (1, 0, {})
