"""The prompts, clips and pairs that a vote file speaks of, as records; clips here are admitted."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from data import clips, video
from data.records import Candidate, Pair, Prompt, Record, Split
from data.store import Store


class Shelf:
    """The prompts, clips and pairs of one file, each made once; `records` are to be added."""

    def __init__(self, store: Store, folder: Path, db: str, split: Split) -> None:
        """Look at what the database has."""
        self._folder, self._db = folder, db
        self._split: Split = split
        self._prompts = {one.id: one for one in store.all("prompts")}
        self._known = {one.sha256: one for one in store.all("candidates")}
        self._pairs: set[str] = set()
        self._found: dict[tuple[str, str, str], Candidate] = {}
        self.clips: dict[str, Candidate] = {}
        self.records: list[Record] = []

    def prompt(self, text: str) -> Prompt:
        """The prompt of that text; of a split that it has already, if it is known."""
        prompt = Prompt(text=text, split=self._split, source="votes")
        if prompt.id not in self._prompts:
            self._prompts[prompt.id] = prompt
            self.records.append(prompt)
        return self._prompts[prompt.id]

    def clip(self, prompt: Prompt, word: str, model: str) -> str:
        """Hash of the clip that the file calls `word`, or of a clip of that generator.

        Raises:
            ValueError: the clip is broken, or was made for another prompt.
        """
        key = (prompt.id, word, model)
        if key not in self._found:
            clip = self._known.get(word) or self._admitted(prompt, word, model)
            clip = self._known.get(clip.sha256, clip)
            if clip.prompt != prompt.id:
                raise ValueError(f"the clip {word!r} was made for another prompt")
            if clip.sha256 not in self._known:
                self._known[clip.sha256] = clip
                self.records.append(clip)
            self._found[key] = self.clips[clip.sha256] = clip
        return self._found[key].sha256

    def _admitted(self, prompt: Prompt, word: str, model: str) -> Candidate:
        path = self._folder / word
        if word and path.suffix and _is_file(path):
            try:
                return clips.admit(self._db, path, prompt=prompt, model=model)
            except video.ClipError as error:
                raise ValueError(f"the clip {word!r} cannot be read: {error.reason}") from error
        text = json.dumps(["known from votes only", prompt.id, model, word], ensure_ascii=False)
        return Candidate(
            sha256=hashlib.sha256(text.encode()).hexdigest(),
            prompt=prompt.id,
            path="",
            model=model,
            settings={"named": word} if word else {},
            fps=0,
            frames=0,
            width=0,
            height=0,
        )

    def pair(self, pair: Pair) -> str:
        """Its id; one that is new is added."""
        if pair.id not in self._pairs:
            self._pairs.add(pair.id)
            self.records.append(pair)
        return pair.id


def _is_file(path: Path) -> bool:
    """Whether it is a file here; a word that is no possible path (too long a name) is none."""
    try:
        return path.is_file()
    except OSError:
        return False
