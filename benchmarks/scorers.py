"""One pass over a clip against one pass per dimension, in the same run.

    python -m benchmarks.scorers                           # `lite`, eight clips of 16 x 320 x 512
    python -m benchmarks.scorers --sizes 16x160x256 --clips 4
    python -m benchmarks.scorers --profile vbench --device cuda --weights DIR

Clips are drawn, written without loss, and scored twice with the same networks on the same device:

- ours: `python -m scorers`' own functions: each clip is decoded once, all scorers of the profile
  read it, and clips of one size go through together;
- per dimension: as VBench does, one dimension after the other, each decoding every clip again and
  judging it alone, and throwing away what else its scorer measures.

A line per dimension gives its seconds per clip in the second way. Left out: the store, and loading
weights. Scorers without weights on this machine are left out of both, and named.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from data import video
from data.console import say, table
from data.omniscore import PROFILES
from data.profile import Profile
from scorers.run import available

if TYPE_CHECKING:
    from torch import Tensor

    from scorers.protocol import Scorer

Figures = dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Config:
    """What is measured."""

    profile: str = "lite"
    sizes: tuple[str, ...] = ("16x320x512",)
    """Frames x height x width."""
    clips: int = 8
    device: str = "cpu"
    threads: int = 2
    weights: str = ""
    out: str = ""


def run(config: Config) -> list[Figures]:
    """Measure every size; print and write the figures."""
    import torch

    torch.set_num_threads(config.threads)
    profile = PROFILES[config.profile]
    judges, absent = available(profile, config.device, config.weights)
    for name, why in absent.items():
        say(f"left out: {name}: {why}")
    every = []
    for size in config.sizes:
        with tempfile.TemporaryDirectory() as folder:
            paths = _clips(Path(folder), size, config.clips)
            every.append(_measured(paths, profile, judges, config))
        say(f"{size}, {config.clips} clips, profile {config.profile}, {config.device}")
        say(table(("seconds per clip", ""), [(k, f"{v:.3f}") for k, v in every[-1].items()]))
    if config.out:
        Path(config.out).write_text(json.dumps(dict(zip(config.sizes, every, strict=True))))
    return every


def _measured(
    paths: Sequence[Path], profile: Profile, judges: dict[str, Scorer], config: Config
) -> Figures:
    _together(paths[:1], judges, config.device)  # first use: what is made once is made now
    started = time.perf_counter()
    _together(paths, judges, config.device)
    ours = (time.perf_counter() - started) / len(paths)
    figures: Figures = {}
    for row in profile.dimensions:
        if row.scorer in judges:
            started = time.perf_counter()
            for path in paths:
                _call(judges[row.scorer], _tensor([path], config.device))
            figures[f"{row.key} alone"] = (time.perf_counter() - started) / len(paths)
    theirs = sum(figures.values())
    return figures | {"per dimension": theirs, "ours": ours, "ratio": theirs / ours}


def _together(paths: Sequence[Path], judges: dict[str, Scorer], device: str) -> None:
    frames = _tensor(paths, device)
    for judge in judges.values():
        _call(judge, frames)


def _call(judge: Scorer, frames: Tensor) -> None:
    import torch

    with torch.inference_mode():
        judge(frames, ["a red circle"] * len(frames), [8.0] * len(frames)).cpu()


def _tensor(paths: Sequence[Path], device: str) -> Tensor:
    import torch

    clips = torch.stack([torch.from_numpy(video.read(path)[0]) for path in paths]).to(device)
    return clips.permute(0, 1, 4, 2, 3).float() / 255


def _clips(folder: Path, size: str, count: int) -> list[Path]:
    """Textures that slide, of one size, without loss."""
    frames, height, width = (int(part) for part in size.split("x"))
    paths = []
    for number in range(count):
        draw = np.random.default_rng(number)
        coarse = draw.integers(0, 256, (height // 8 + 2 * frames, width // 8 + 2 * frames, 3))
        texture = np.kron(coarse.astype(np.uint8), np.ones((8, 8, 1), np.uint8))
        steps = [texture[4 * t : 4 * t + height, 4 * t : 4 * t + width] for t in range(frames)]
        paths.append(folder / f"{number}.mkv")
        video.write(paths[-1], np.stack(steps), 8.0, lossless=True)
    return paths


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = Config()
    parser.add_argument("--profile", default=default.profile, choices=list(PROFILES))
    parser.add_argument("--sizes", nargs="+", default=list(default.sizes), metavar="TxHxW")
    parser.add_argument("--clips", type=int, default=default.clips)
    parser.add_argument("--device", default=default.device)
    parser.add_argument("--threads", type=int, default=default.threads)
    parser.add_argument("--weights", default="", help="folder of weights")
    parser.add_argument("--out", default="", help="write the figures here too, as JSON")
    given = vars(parser.parse_args())
    run(Config(**{**given, "sizes": tuple(given["sizes"])}))


if __name__ == "__main__":
    main()
