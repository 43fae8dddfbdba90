"""The step's benchmark compares like with like: every row of it has the published gradient."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks import vader_step
from train import models, policy
from train.reward import rewards


def test_our_step_has_the_gradient_of_the_published_loop(tiny_model: models.VideoModel):
    trained = policy.attach(tiny_model, rank=2, alpha=2, seed=0)
    for weight in trained.parameters:
        weight.data += 0.1
    reward = rewards.Mixture({"sharpness": 1.0}, device="cpu")
    jobs = vader_step.rows(trained, reward, tiny_model.sample_defaults)
    found = {
        name: torch.cat([g.flatten() for g in torch.autograd.grad(job(), trained.parameters)])
        for name, job in jobs.items()
    }
    published = found["published loop"]
    assert published.abs().sum() > 0
    for name in ("+ only the scored frame", "+ decoder again, frame by frame"):
        torch.testing.assert_close(found[name], published, rtol=1e-3, atol=1e-7)
    cut = found["+ gradient to the scored latent"]
    torch.testing.assert_close(found["+ network again"], cut, rtol=1e-3, atol=1e-7)
    assert not torch.allclose(found["+ conditional branch"], cut, rtol=1e-3)


def test_the_table_is_printed(tiny_folder: Path, capsys: pytest.CaptureFixture[str]):
    vader_step.main(["--model", str(tiny_folder), "--repeats", "1", "--reward", "sharpness"])
    lines = capsys.readouterr().out.splitlines()
    (floor,) = [line.split() for line in lines if line.startswith("published loop  ")]
    assert floor[-1] == "1.00x"
    rows = {line.split("  ")[0]: line.split() for line in lines if line.endswith("x")}
    memory = {name: float(row[-2]) for name, row in rows.items()}
    assert memory["+ decoder again, frame by frame"] < memory["+ only the scored frame"]
    assert memory["+ network again"] < memory["+ gradient to the scored latent"]
