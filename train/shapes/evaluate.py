"""Measures the built-in model by the oracle of its world.

    python -m train.shapes.evaluate [--model DIR] [--n 128] [--steps 25] [--json OUT] [--sheet PNG]

For prompts like those of training, and for colour and direction pairs that training never saw: the
share of clips with the right colour, direction, shape, and all three; and the same for drawn clips
that only went through the autoencoder, which is as good as it can get. Then, with four candidates
for each of n/2 prompts, how much there is to compare: the spread of the oracle's score, the share
of prompts with a clear best, and the share whose candidates get different numbers of words right.

Left out on purpose: any measure of the model's own making. The oracle reads pixels only.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DiffusionPipeline, WanPipeline
from tqdm import tqdm

from data import shapes as world
from data.console import say
from data.errors import UserError, user_errors
from scorers import shapes as judge
from train.options import option, parser
from train.shapes import vae

BUILTIN = Path(__file__).parents[1] / "builtin" / "shapes"
CANDIDATES = 4
CLEAR = 0.1  # a best candidate is clear if it leads the mean of the others by this much
_BATCH = 32


@dataclass(frozen=True, kw_only=True)
class Config:
    """What to measure, and how to sample."""

    model: str = option(str(BUILTIN), "folder exported by train.shapes")
    n: int = option(128, "prompts of each kind")
    steps: int = option(25, "denoising steps")
    guidance: float | None = option(None, "classifier-free guidance scale; none: the model's")
    seed: int = option(0, "of prompts and noise")
    device: str = option("cpu", "cpu, cuda, cuda:1, ...")
    json: str = option("", "write the figures there as well")
    sheet: str = option("", "write a contact sheet (PNG) there")


def load(folder: Path, device: str = "cpu") -> tuple[WanPipeline, dict[str, Any]]:
    """The pipeline in float32 and the sampling settings that it was trained for."""
    if not (folder / "sampling.json").exists():
        raise UserError(f"{folder} holds no sampling.json: give a folder made by train.shapes")
    pipe: Any = DiffusionPipeline.from_pretrained(folder, dtype=torch.float32).to(device)
    pipe.set_progress_bar_config(disable=True)
    return pipe, json.loads((folder / "sampling.json").read_text())


def sample(
    pipe: WanPipeline, settings: dict[str, Any], prompts: list[str], seeds: list[int]
) -> np.ndarray:
    """One clip per prompt, uint8 `n t h w c`; a clip depends on its own prompt and seed only."""
    call = {k: v for k, v in settings.items() if k not in ("frames", "fps")}
    parts = []
    for at in tqdm(range(0, len(prompts), _BATCH), desc="sample", unit="batch", leave=False):
        noise = [torch.Generator().manual_seed(s) for s in seeds[at : at + _BATCH]]
        out: Any = pipe(prompts[at : at + _BATCH], generator=noise, output_type="np", **call)
        parts.append(np.rint(np.asarray(out.frames) * 255).astype(np.uint8))
    return np.concatenate(parts)


def table(clips: np.ndarray, prompts: list[str]) -> dict[str, float]:
    """Share of right clips, per attribute and for the first three together; mean score."""
    found = [world.judge(clip, prompt) for clip, prompt in zip(clips, prompts, strict=True)]
    row = {name: float(np.mean([f[name] for f in found if name in f])) for name in world.ATTRIBUTES}
    row["all three"] = float(
        np.mean([f["colour"] and f["shape"] and f["direction"] for f in found])
    )
    return row | {"score": float(np.mean([f["score"] for f in found]))}


def ceiling(pipe: WanPipeline, n: int, seed: int) -> dict[str, float]:
    """The table for `n` drawn clips that only went through the autoencoder."""
    scenes = [world.random_scene(np.random.default_rng([seed, 9, i])) for i in range(n)]
    clips = np.stack([world.render(scene) for scene in scenes])
    model, device = pipe.vae, str(pipe.vae.device)
    again = vae.decode_all(model, vae.encode_all(model, clips, device).to(device), device)
    return table(again, [world.caption(scene) for scene in scenes])


def spread(clips: np.ndarray, prompts: list[str]) -> dict[str, float]:
    """How far the candidates of one prompt lie apart; `clips` are grouped by prompt."""
    found = [world.judge(clip, prompt) for clip, prompt in zip(clips, prompts, strict=True)]
    score = np.array([f["score"] for f in found]).reshape(-1, CANDIDATES)
    right = np.array([sum(v is True for v in f.values()) for f in found]).reshape(-1, CANDIDATES)
    ranked = np.sort(score, axis=1)
    rows = {
        "best minus worst score": ranked[:, -1] - ranked[:, 0],
        f"prompts whose best leads the others by {CLEAR}": (
            ranked[:, -1] - ranked[:, :-1].mean(1) > CLEAR
        ),
        f"prompts whose best and worst lie {CLEAR} apart": ranked[:, -1] - ranked[:, 0] > CLEAR,
        "prompts whose candidates differ in right words": right.max(1) > right.min(1),
        f"pairs {CLEAR} apart that the text-video encoder orders alike": _alike(
            score, _encoded(clips, prompts).reshape(-1, CANDIDATES)
        ),
    }
    return {name: float(np.mean(row)) for name, row in rows.items()}


def _encoded(clips: np.ndarray, prompts: list[str]) -> np.ndarray:
    frames = torch.from_numpy(clips).permute(0, 1, 4, 2, 3) / 255
    return judge.load()(frames, prompts, [float(world.FPS)] * len(prompts))[:, 0].numpy()


def _alike(score: np.ndarray, other: np.ndarray) -> np.ndarray:
    """For each pair of one row whose scores lie clearly apart: whether `other` agrees."""
    first, second = np.triu_indices(score.shape[1], 1)
    gap = score[:, first] - score[:, second]
    return ((gap > 0) == (other[:, first] > other[:, second]))[np.abs(gap) > CLEAR]


def run(config: Config) -> dict[str, Any]:
    """Samples and measures; returns what `main` prints."""
    pipe, settings = load(Path(config.model), config.device)
    settings["num_inference_steps"] = config.steps
    if config.guidance is not None:
        settings["guidance_scale"] = config.guidance
    result: dict[str, Any] = {"n": config.n, "seed": config.seed, **settings}
    seeds = [config.seed * 1_000_003 + i for i in range(config.n)]
    for name, held_out in (("training-style", False), ("held-out", True)):
        prompts = world.prompts(config.n, config.seed + 1000, held_out=held_out)
        clips = sample(pipe, settings, prompts, seeds)
        result[name] = table(clips, prompts)
        if config.sheet and not held_out:
            _sheet(clips, prompts, Path(config.sheet))
    result["autoencoder"] = ceiling(pipe, config.n, config.seed)
    few = world.prompts(max(1, config.n // 2), config.seed + 2000)
    repeated = [prompt for prompt in few for _ in range(CANDIDATES)]
    seeds = [config.seed * 1_000_003 + 500_000 + i for i in range(len(repeated))]
    result["spread"] = spread(sample(pipe, settings, repeated, seeds), repeated)
    if config.json:
        Path(config.json).write_text(json.dumps(result, indent=2) + "\n")
    return result


def _sheet(clips: np.ndarray, prompts: list[str], path: Path) -> None:
    """A picture of the first 20 clips, every second frame, two clips a row."""
    from PIL import Image, ImageDraw

    side, shown = clips.shape[2], clips[:20, ::2]
    width = shown.shape[1] * (side + 2) + 10
    page = Image.new("RGB", (2 * width, 10 * (side + 16)), "white")
    pen = ImageDraw.Draw(page)
    for i, clip in enumerate(shown):
        left, top = (i % 2) * width, (i // 2) * (side + 16)
        pen.text((left, top), prompts[i][:60], fill="black")
        for j, frame in enumerate(clip):
            page.paste(Image.fromarray(frame), (left + j * (side + 2), top + 13))
    page.save(path)


@user_errors
def main(argv: Sequence[str] | None = None) -> None:
    """The command line of this module: measures and prints."""
    options = parser(Config, "python -m train.shapes.evaluate", __doc__ or "")
    result = run(Config(**vars(options.parse_args(argv))))
    columns = ("colour", "direction", "shape", "all three", "size", "speed", "background", "score")
    say(f"{'prompts':<16}" + "".join(f"{column:>11}" for column in columns))
    for kind in ("training-style", "held-out", "autoencoder"):
        say(f"{kind:<16}" + "".join(f"{result[kind][column]:11.2f}" for column in columns))
    say(f"{CANDIDATES} candidates per prompt:")
    for name, value in result["spread"].items():
        say(f"  {value:.2f}  {name}")


if __name__ == "__main__":
    raise SystemExit(main())
