"""Full fine-tuning and the model card, on the tiny model: one run, and what it leaves behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from diffusers import WanTransformer3DModel

from data.errors import UserError
from tests.train import world
from train import bank, components, dpo, full, models, policy
from train.models import VideoModel
from train.models.generator import Generator
from train.models.lora import NetworkLora
from train.run import card, runs


@pytest.fixture(scope="module")
def config(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("full")
    db = world.build(folder, [world.prompt(i) for i in range(4)])
    return {
        "db": str(db), "model": str(tiny_folder), "labels": "auto", "train": "full", "steps": 3,
        "batch": 4, "lr": 1e-3, "held_out": 0, "device": "cpu", "grid": 0, "save_every": 2,
        "evaluate_every": 3, "cache": "none", "out": str(folder / "runs"),
    }  # fmt: skip


@pytest.fixture(scope="module")
def run(config: dict[str, Any]) -> Path:
    return Path(dpo.run(dpo.Config(**config)).folder)


def predict(model: VideoModel) -> torch.Tensor:
    x = bank.noise("test", "full", 0, (2, *model.latent_shape(model.sample_defaults)))
    t = model.timesteps(torch.tensor([0.2, 0.7]))
    with torch.no_grad():
        return model.predict(x, t, model.embed(["a red circle", "a blue square"]))


class TestARun:
    def test_starts_as_its_reference_and_leaves_it(self, run: Path) -> None:
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        first, *_, last = (line for line in lines if line["split"] == "training pairs")
        assert (first["margin"], first["drift"], first["weights"]) == (0, 0, 0)
        assert last["loss"] < first["loss"]
        assert min(last["drift"], last["weights"]) > 0

    def test_is_a_component_that_diffusers_loads(self, run: Path, tiny_folder: Path) -> None:
        component = WanTransformer3DModel.from_pretrained(run / "adapter" / "transformer")
        ours = models.load(str(tiny_folder))
        base = predict(ours)
        components.load(ours, run / "adapter")
        trained = predict(ours)
        assert (trained - base).abs().max() > 1e-3
        ours.network.load_state_dict(component.state_dict())
        assert torch.equal(predict(ours), trained)

    def test_resumes_to_the_same_bytes(self, config: dict[str, Any], run: Path) -> None:
        part = Path(dpo.run(dpo.Config(**config | {"steps": 2})).folder)
        dpo.resume(str(part), 3)
        name = "adapter/transformer/diffusion_pytorch_model.safetensors"
        assert (part / name).read_bytes() == (run / name).read_bytes()

    def test_is_sampled_and_gone_on_from_like_an_adapter(
        self, run: Path, tiny_folder: Path
    ) -> None:
        one, other = models.load(str(tiny_folder)), models.load(str(tiny_folder))
        policy.load(one, run / "adapter")
        second = full.start(other, run / "adapter")
        assert torch.equal(predict(one), predict(other))
        with torch.no_grad():
            second.parameters[0].add_(1.0)
        with second.reference():
            assert torch.equal(predict(other), predict(one))
        assert not torch.equal(predict(other), predict(one))
        assert second.weight_change() > 0

    def test_trains_every_weight_and_not_the_copy(self, tiny_model: VideoModel) -> None:
        made = full.start(tiny_model)
        assert all(weight.requires_grad for weight in tiny_model.network.parameters())
        assert not any(weight.requires_grad for weight in made.frozen.parameters())

    def test_needs_precision_and_weights(self, tiny_folder: Path, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="needs --dtype float32"):
            full.start(models.load(str(tiny_folder), dtype=torch.bfloat16))
        with pytest.raises(UserError, match="holds no weights of transformer"):
            full.start(models.load(str(tiny_folder)), tmp_path)

    def test_of_another_model_is_refused(self, run: Path, tiny_model: VideoModel) -> None:
        network: Any = tiny_model.network
        network.proj_out = torch.nn.Linear(3, 3)
        with pytest.raises(UserError, match="does not fit model"):
            components.load(tiny_model, run / "adapter")


class TestTheCard:
    def test_says_what_the_run_holds(self, run: Path, tiny_folder: Path) -> None:
        text = (run / "adapter" / "README.md").read_text()
        record = json.loads((run / "config.json").read_text())
        front, _, body = text.removeprefix("---\n").partition("\n---\n")
        assert front == "library_name: diffusers\ntags: [text-to-video, dpo]"  # a folder: no base
        for said in (
            f"| base model | {tiny_folder} |", "| labelled pairs | 4 |", "| lr | 0.001 |",
            "OmniScore's opinion (no person)", f"labels {record['labels']}", "| weights | paper |",
            "| trained | all weights of the denoiser |", "| drift | ", "| reload_difference | 0 |",
            'pipe.transformer = type(pipe.transformer).from_pretrained("', "/adapter/transformer",
        ):  # fmt: skip
            assert said in body

    def test_of_a_lora_on_a_published_model(
        self, run: Path, tmp_path: Path, tiny_folder: Path
    ) -> None:
        model = cast("Generator", models.load(str(tiny_folder)))
        model.source = "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"
        folder = runs.reopen(run, "dpo", {"labels": "human", "weight_clip": 3.0})
        folder = runs.RunFolder(tmp_path, folder.record)
        folder.adapter.mkdir()
        (folder.adapter / policy.WEIGHTS).touch()
        text = card.write(folder, model, {"loss": 0.5}).read_text()
        assert text.startswith('---\nbase_model: "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"\n')
        assert "tags: [text-to-video, dpo, lora]" in text
        assert f'pipe.load_lora_weights("{tmp_path}/adapter")' in text
        model.lora = NetworkLora(model.components)  # a pipeline without a loader: by our own
        own = card.write(folder, model, {"loss": 0.5}).read_text()
        assert "load_lora_weights" not in own
        assert f'policy.load(model, Path("{tmp_path}/adapter"))' in own
        assert "people's votes" in text
        assert "weight_clip 3.0" in text
