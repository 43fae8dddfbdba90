"""The first image of every held-out prompt, for arms that go from an image to a clip.

It is the one that the prompt's row names where the prompts are a table, else `--image`, else the
one that the database's clips of that prompt remember. Every arm and the base model begin with it.

Left out on purpose: several images of one prompt.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from data.errors import UserError
from data.records import Candidate, Prompt
from data.store import Store
from train import models
from train.sampling import first_image, prompt_table

if TYPE_CHECKING:
    from train.compare import Config


def begun(config: Config, prompts: Sequence[str]) -> dict[str, dict[str, str]]:
    """What the clips of each prompt remember of their image; empty for text-to-video.

    Raises:
        UserError: an image-to-video model and a prompt without an image, or with two; or another
            model and images.
    """
    wanted = models.begins_with_image(config.model)
    table = prompt_table.read(config.prompts) if prompt_table.is_table(config.prompts) else {}
    named = {text: table.get(text) or config.image for text in prompts}
    if wanted:
        without = [text for text, image in named.items() if not image]
        named |= remembered(config.db, without)
    name = Path(config.model).name
    wants = first_image.demanded(name, named, wanted=wanted)
    return first_image.copied(config.db, named) if wants else {}


def remembered(db: str, prompts: Iterable[str]) -> dict[str, str]:
    """The image that the database's clips of a prompt remember, for each that has one.

    Raises:
        UserError: clips of one prompt remember different images, or one is gone or changed.
    """
    wanted = {Prompt(text=text).id: text for text in prompts}
    with Store.open(db) as store:
        made = cast("list[Candidate]", store.all("candidates"))
    clips = sorted(
        (clip for clip in made if clip.prompt in wanted and first_image.remembered(clip)),
        key=lambda clip: clip.sha256,
    )
    found: dict[str, Candidate] = {}
    for clip in clips:
        text = wanted[clip.prompt]
        first = found.setdefault(text, clip)
        if first_image.remembered(first) != first_image.remembered(clip):
            raise UserError(
                f"Clips of the prompt {text!r} were made from different images "
                f"({first.path} and {clip.path}). Say which one the arms are to begin with: "
                "--prompts FILE.csv with the columns `prompt` and `image`."
            )
    return {text: str(first_image.of_clip(clip)) for text, clip in found.items()}
