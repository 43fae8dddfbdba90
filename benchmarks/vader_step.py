"""Time and memory of one reward-gradient step, beside the published loop in the same run.

    python -m benchmarks.vader_step                                       # `shapes`, on the CPU
    python -m benchmarks.vader_step --model wan-1.3b --device cuda --reward hps --rank 16

The floor is VADER's loop as it was published: every sampler step in gradient mode, the LoRA's
`requires_grad` switched on for the last, `save_on_cpu` around every step, the whole clip decoded,
one frame scored. Below it stands what this project does instead, one change after the other. All
rows use the same weights, noise, guidance and K = 1.

`wan-1.3b` is the real size with random weights, and `hps` HPSv2.1's architecture (CLIP ViT-H/14)
with random weights: speed and memory do not care what the numbers mean. Memory on a GPU is the peak
that torch allocated; on the CPU it is the bytes of activations kept for the way back.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import save_on_cpu, saved_tensors_hooks

import scorers
from benchmarks import random_wan
from data.console import say, table
from train import models, policy
from train.models import SampleSettings
from train.policy import Policy
from train.reward import rewards
from train.reward.backprop import Backprop, Draws
from train.reward.frames import Scoring
from train.reward.rewarded import RolloutAndReward
from train.sampling.rollout import Guidance, Sampler

PROMPT = "a red circle moving left"
DRAWS = Draws(seed=0, step=0, clips=[(PROMPT, 0)])
Job = Callable[[], Tensor]


def published(trained: Policy, reward: rewards.Mixture, settings: SampleSettings) -> Tensor:
    """VADER's loop: graph on and off by `requires_grad`, every step saved to the CPU."""
    model = trained.model
    guidance = Guidance.of(model, [PROMPT], settings.guidance)
    latents = DRAWS.noise("vader", model, model.latent_shape(settings))
    sampler = Sampler(model, settings.steps, latents.shape[1:])
    for i in range(settings.steps):
        for weight in trained.parameters:
            weight.requires_grad_(requires_grad=i + 1 == settings.steps)
        with save_on_cpu(pin_memory=latents.is_cuda):
            prediction = guidance.predict(model, latents, sampler.schedule[i])
            latents = sampler.advance(prediction, i, latents)
    frames = model.decode(latents)
    middle = frames.shape[1] // 2
    return reward(frames[:, middle : middle + 1], [PROMPT], settings.fps).mean()


def ours(
    trained: Policy,
    reward: rewards.Mixture,
    settings: SampleSettings,
    scoring: Scoring,
    **plan: Any,
) -> Job:
    """This project's step as a job."""
    backprop = Backprop(total=settings.steps, **plan)
    rolled = RolloutAndReward(trained, reward, settings, backprop, scoring)
    return lambda: rolled(DRAWS).rewards.mean()


def rows(trained: Policy, reward: rewards.Mixture, settings: SampleSettings) -> dict[str, Job]:
    """Every row's job, from the published loop down."""
    middle = str(settings.frames // 2)
    one = Scoring(spec=middle)
    again = replace(one, checkpointed=True)
    chosen = replace(again, exact=False)
    common = (trained, reward, settings)
    return {
        "published loop": lambda: published(*common),
        "prefix without a graph, all frames scored": ours(*common, Scoring()),
        "+ only the scored frame": ours(*common, one),
        "+ decoder again, frame by frame": ours(*common, again),
        "+ gradient to the scored latent": ours(*common, chosen),
        "+ network again": ours(*common, chosen, checkpoint=True),
        "+ conditional branch": ours(*common, chosen, checkpoint=True, branches="conditional"),
        "two gradients per rollout": ours(*common, chosen, checkpoint=True, inner=2),
    }


def kept_bytes(job: Job, own: set[int]) -> int:
    """Of activations that wait for the way back on the CPU, without the weights."""
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        job()
    return sum(kept.values())


def measured(job: Job, trained: Policy, repeats: int) -> tuple[float, float]:
    """Median seconds of forward and backward, and the peak memory in MiB."""
    cuda, seconds = trained.model.device.type == "cuda", []
    clock = time.perf_counter if cuda else time.process_time  # a busy machine changes it less
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    for _ in range(repeats + 1):  # the first warms up
        begun = clock()
        job().neg().backward()
        for weight in trained.parameters:
            weight.grad = None
        if cuda:
            torch.cuda.synchronize()
        seconds.append(clock() - begun)
    if cuda:
        peak = torch.cuda.max_memory_allocated()
    else:
        held = (*trained.model.network.parameters(), *trained.model.pipeline.vae.parameters())
        peak = kept_bytes(job, {weight.untyped_storage().data_ptr() for weight in held})
    return statistics.median(seconds[1:]), peak / 2**20


def run(options: argparse.Namespace, folder: Path) -> dict[str, dict[str, float]]:
    """Seconds and memory by row."""
    dtype = getattr(torch, options.dtype)
    source = options.model
    if source == "wan-1.3b":
        source = str(random_wan.save(folder / "wan", options.device, dtype))
    model = models.load(source, device=options.device, dtype=dtype)
    size = {name: getattr(options, name) for name in ("frames", "height", "width", "steps")}
    given = {name: value for name, value in size.items() if value is not None}
    settings = replace(model.sample_defaults, **given)
    model.check(settings)
    trained = policy.attach(model, rank=options.rank, alpha=options.rank, seed=0)
    if options.reward == "hps":
        _random_hps()
    reward = rewards.Mixture({options.reward: 1.0}, device=model.device)
    found = {}
    for name, job in rows(trained, reward, settings).items():
        seconds, peak = measured(job, trained, options.repeats)
        found[name] = {"seconds": seconds, "MiB": peak}
        say(f"{name}: {seconds:.3f} s, {peak:.0f} MiB")
    return found


def _random_hps() -> None:
    """`hps` without its checkpoint: the architecture with random weights."""
    import open_clip

    from scorers import hps

    network = open_clip.create_model(hps.ARCHITECTURE).eval().requires_grad_(requires_grad=False)
    words = open_clip.get_tokenizer(hps.ARCHITECTURE)

    def load(name: str, *, device: Any) -> Any:
        assert name == "hps"
        return hps.scorer(network.to(device), words, "hpsv2.1", "vader")

    scorers.load_reward = load  # pyright: ignore[reportAttributeAccessIssue]


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--model", default="shapes", help="`wan-1.3b`: random weights (default: %(default)s)")
    add("--reward", default="shapes", help="a scorer; `hps`: random weights (default: %(default)s)")
    add("--device", default="cpu")
    add("--dtype", default="float32", choices=("float32", "bfloat16"))
    add("--frames", type=int, help="per clip (default: the model's)")
    add("--height", type=int, help="pixels (default: the model's)")
    add("--width", type=int, help="pixels (default: the model's)")
    add("--steps", type=int, help="of the sampler (default: the model's)")
    add("--rank", type=int, default=8, help="of the LoRA (default: 8)")
    add("--repeats", type=int, default=3, help="measured runs per row (default: 3)")
    add("--out", type=Path, help="JSON file to write")
    options = parser.parse_args(argv)
    if options.device == "cpu":
        torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        found = run(options, Path(folder))
    floor = found["published loop"]
    lines = [
        (
            name,
            f"{one['seconds']:.3f}",
            f"{floor['seconds'] / one['seconds']:.2f}x",
            f"{one['MiB']:.1f}",
            f"{one['MiB'] / floor['MiB']:.2f}x",
        )
        for name, one in found.items()
    ]
    say(table(("step", "s", "faster", "MiB", "of published"), lines))
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
