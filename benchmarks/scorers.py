"""One pass over a clip against one pass per dimension, in the same run, and against arithmetic.

    python -m benchmarks.scorers                           # `lite`, eight clips of 16 x 320 x 512
    python -m benchmarks.scorers --sizes 16x320x512 81x480x832
    python -m benchmarks.scorers --profile vbench --device cuda --dtype bfloat16 --untrained
    python -m benchmarks.scorers --profile vbench --untrained --layers 1 --sizes 4x96x160 --clips 2

Clips are drawn, written without loss, and scored twice with the same scorers on the same device:

- ours: as `python -m scorers` does, with its own functions (`scorers/judging.py`): each clip is
  decoded once and all scorers of the profile read it, on as many workers as it takes;
- per dimension (a): as VBench does, one dimension after the other, each decoding every clip again
  and judging it alone, and throwing away what else its scorer measures. On a CPU the libraries
  share each step between one thread or all `--threads`, whichever takes less.

`one thread` is the distinct work of a clip, each thing once, on one core. `processor` is the time
that cores were at work, with one thread: on a CPU that others use too, only it can be compared.
The floor (b) is counted:
multiplications and additions of the networks over the rate at which this device multiplies large
matrices of the same type; without networks there is none. `--untrained` brings random weights of
the published sizes. Left out: the store, and loading weights. Scorers without weights on this
machine are left out of both, and named.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

import scorers
from data import video
from data.console import say, table
from data.omniscore import PROFILES
from data.profile import Profile
from scorers import crew
from scorers.judging import batched, opinions
from scorers.pool import Pool
from scorers.run import DTYPES

if TYPE_CHECKING:
    from scorers.protocol import Scorer

Figures = dict[str, float]
_PROMPT, _FPS = "a red circle", 8.0


@dataclass(frozen=True, kw_only=True)
class Config:
    """What is measured."""

    profile: str = "lite"
    sizes: tuple[str, ...] = ("16x320x512",)
    """Frames x height x width."""
    clips: int = 8
    device: str = "cpu"
    dtype: str = "float32"
    threads: int = 0
    """As of `python -m scorers`."""
    batch: int = 8
    weights: str = ""
    untrained: bool = False
    layers: int = 0
    rounds: int = 3
    """Each figure is the median of so many."""
    out: str = ""

    @property
    def workers(self) -> int:
        """Threads that judge."""
        return crew.size(self.threads)

    @property
    def together(self) -> int:
        """Clips per batch."""
        return 1 if self.device == "cpu" else self.batch


def run(config: Config) -> list[Figures]:
    """Measure every size; print and write the figures."""
    profile = PROFILES[config.profile]
    judges, absent = _judges(profile, config)
    for name, why in absent.items():
        say(f"left out: {name}: {why}")
    every = []
    for size in config.sizes:
        with tempfile.TemporaryDirectory() as folder:
            paths = _clips(Path(folder), size, config.clips)
            every.append(_measured(paths, profile, judges, config))
        say(f"{size}, {config.clips} clips, profile {config.profile}, {config.device}, "
            f"{config.dtype}, {config.workers} workers")  # fmt: skip
        say(table(("seconds per clip", ""), [(k, f"{v:.3f}") for k, v in every[-1].items()]))
    if config.out:
        Path(config.out).write_text(json.dumps(dict(zip(config.sizes, every, strict=True))))
    return every


def _judges(profile: Profile, config: Config) -> tuple[dict[str, Scorer], dict[str, str]]:
    import torch

    dtype, names = getattr(torch, config.dtype), profile.scorers
    drawn: dict[str, Scorer] = {}
    if config.untrained:
        from benchmarks import untrained

        drawn = untrained.scorers_of(names, config.device, dtype, config.layers)
    pool = Pool(device=config.device, dtype=dtype, weights_dir=config.weights)
    found, absent = pool.take([name for name in names if name not in drawn])
    return {name: one for name in names if (one := (drawn | found).get(name))}, absent


def _measured(
    paths: Sequence[Path], profile: Profile, judges: Mapping[str, Scorer], config: Config
) -> Figures:
    _threads(1)
    _one_pass(paths, judges, config)  # first use: what is made once is made now
    rounds, count = config.rounds, len(paths)
    ours = _seconds(lambda: _one_pass(paths, judges, config), rounds).wall / count
    alone = _seconds(lambda: _one_after_the_other(paths, judges, config), rounds) / count
    every = {
        row.key: _per_dimension(paths, {row.scorer: judges[row.scorer]}, config)
        for row in profile.dimensions
        if row.scorer in judges
    }
    figures = {f"{key} alone": each.wall for key, each in every.items()}
    theirs, worked = (sum(column) for column in zip(*every.values(), strict=True))
    figures |= {"(a) per dimension": theirs, "one pass, one thread": alone.wall, "ours": ours}
    figures |= {"(a) over ours": theirs / ours}
    if config.device == "cpu":
        figures |= {f"{key} alone, processor": each.processor for key, each in every.items()}
        figures |= {"(a), processor": worked, "one pass, processor": alone.processor,
                    "(a) over one pass, processor": worked / alone.processor}  # fmt: skip
    return figures | _floor(paths[0], judges, config, ours)


def _one_pass(paths: Sequence[Path], judges: Mapping[str, Scorer], config: Config) -> None:
    batches = [paths[at : at + config.together] for at in range(0, len(paths), config.together)]
    with ThreadPoolExecutor(config.workers) as pool:
        list(pool.map(lambda batch: _judged(batch, judges, config), batches))


def _one_after_the_other(
    paths: Sequence[Path], judges: Mapping[str, Scorer], config: Config
) -> None:
    for path in paths:
        _judged([path], judges, config)


def _per_dimension(paths: Sequence[Path], judge: Mapping[str, Scorer], config: Config) -> Seconds:
    """Per clip with each clip alone: by the number of threads that takes less, and one's work."""
    taken = []
    for count in sorted({1, config.workers} if config.device == "cpu" else {config.workers}):
        _threads(count)
        each = _seconds(lambda: _one_after_the_other(paths, judge, config), config.rounds)
        taken.append(each / len(paths))
    _threads(1)
    return Seconds(min(each.wall for each in taken), taken[0].processor)


def _judged(paths: Sequence[Path], judges: Mapping[str, Scorer], config: Config) -> None:
    """Decode these clips once and have all of these scorers judge them together."""
    clips = [video.read(path)[0] for path in paths]
    opinions(judges, clips, [_PROMPT] * len(clips), [_FPS] * len(clips), config.device)


def _floor(path: Path, judges: Mapping[str, Scorer], config: Config, ours: float) -> Figures:
    """Seconds that the networks' arithmetic takes at the rate of large matrices."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    frames = batched([video.read(path)[0]], config.device)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:  # blind in inference mode
        for judge in judges.values():
            judge(frames, [_PROMPT], [_FPS])
    count = counter.get_total_flops()
    if not any(map(scorers.needs, judges)):  # what little they multiply is not what takes time
        return {}
    rate = _matrix_rate(config)
    floor = count / rate
    return {"TFLOP per clip, counted": count / 1e12, "TFLOP per second, measured": rate / 1e12,
            "(b) arithmetic floor": floor, "ours over (b)": ours / floor}  # fmt: skip


def _matrix_rate(config: Config) -> float:
    """Operations per second of a large matrix product, the best of several."""
    import torch

    side = 1024 if config.device == "cpu" else 8192
    _threads(config.workers)
    matrix = torch.randn(side, side, device=config.device, dtype=getattr(torch, config.dtype))

    def product() -> None:
        (matrix @ matrix)[0, 0].item()  # waits for the device

    product()
    seconds = min(_seconds(product, 1).wall for _ in range(5))
    _threads(1)
    return 2 * side**3 / seconds


def _threads(count: int) -> None:
    import cv2
    import torch

    torch.set_num_threads(count)
    cv2.setNumThreads(count)


class Seconds(NamedTuple):
    """What something took."""

    wall: float
    processor: float

    def __truediv__(self, count: int) -> Seconds:
        """Per one of `count`."""
        return Seconds(self.wall / count, self.processor / count)


def _seconds(work: Callable[[], None], rounds: int) -> Seconds:
    """The medians over some rounds."""
    taken = []
    for _ in range(rounds):
        wall, processor = time.perf_counter(), time.process_time()
        work()
        taken.append((time.perf_counter() - wall, time.process_time() - processor))
    return Seconds(*map(median, zip(*taken, strict=True)))


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
        video.write(paths[-1], np.stack(steps), _FPS, lossless=True)
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
    parser.add_argument("--dtype", default=default.dtype, choices=DTYPES, help="of the networks")
    parser.add_argument("--threads", type=int, default=default.threads,
                        help="clips (on a GPU: batches) at a time; 0: one per core")  # fmt: skip
    parser.add_argument("--batch", type=int, default=default.batch, help="clips, on a GPU")
    parser.add_argument("--weights", default="", help="folder of weights")
    parser.add_argument("--untrained", action="store_true", help="random weights for `vbench`")
    parser.add_argument("--layers", type=int, default=0,
                        help="of untrained transformers; 0: as published")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=default.rounds, help="take their median")
    parser.add_argument("--out", default="", help="write the figures here too, as JSON")
    given = vars(parser.parse_args())
    run(Config(**{**given, "sizes": tuple(given["sizes"])}))


if __name__ == "__main__":
    main()
