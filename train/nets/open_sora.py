"""Make a folder that can be trained from the published files of Open-Sora 1.2.

    python -m train.nets.open_sora --denoiser STDIT --autoencoder VAE --text T5 --out open-sora
    python -m train.dpo --model open-sora ...

Folders of the Hugging Face hub: the denoiser is hpcai-tech/OpenSora-STDiT-v3, the autoencoder
hpcai-tech/OpenSora-VAE-v1.2 (both parts, frames and time), the text encoder DeepFloyd/t5-v1_1-xxl.
Weights are loaded by name; one that is missing or left over is an error.

Left out on purpose: downloading, and other versions of Open-Sora.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.console import say
from data.errors import UserError, user_errors
from train.options import option, parser

if TYPE_CHECKING:
    from torch import Tensor, nn

_FRAMES, _TIME = "spatial_vae.module.", "temporal_vae."
_WEIGHTS = "model.safetensors"
_SCALING = 0.18215  # that Open-Sora multiplies an image's latents by, whatever its config says
_IMAGE: dict[str, Any] = {
    "block_out_channels": (128, 256, 512, 512), "layers_per_block": 2, "latent_channels": 4,
    "down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4,
}  # fmt: skip
"""Stable Diffusion XL's autoencoder, which PixArt-Sigma and Open-Sora take."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """What to convert."""

    denoiser: str = option("OpenSora-STDiT-v3", "folder of the published denoiser")
    autoencoder: str = option("OpenSora-VAE-v1.2", "folder of the published autoencoder")
    text: str = option("t5-v1_1-xxl", "folder of T5's encoder and its tokenizer")
    out: str = option("open-sora", "folder to make; must not exist")


def run(config: Config, *, sizes: Mapping[str, Mapping[str, Any]] | None = None) -> Path:
    """Reads, checks every name, writes; returns the folder.

    Args:
        config: The command line.
        sizes: Of `image` and `time`, the autoencoder's parts, where they are not the published
            ones.

    Raises:
        UserError: A file is missing or another model's, or the folder exists.
    """
    from diffusers import AutoencoderKL
    from transformers import T5EncoderModel, T5Tokenizer

    from train.models.opensora import OpenSoraPipeline
    from train.nets.temporal_vae import TemporalVae

    own, folder = sizes or {}, Path(config.out)
    if folder.exists():
        raise UserError(f"{folder} exists already. Choose another --out.")
    state = _read(Path(config.autoencoder))
    given = {name: state.pop(name) for name in ("shift", "scale") if name in state}
    image: dict[str, Any] = {**_IMAGE, **own.get("image", {}), "scaling_factor": _SCALING}
    over_time: dict[str, Any] = dict(own.get("time", {}))
    over_time |= {name: tuple(value.flatten().tolist()) for name, value in given.items()}
    vae, time = AutoencoderKL(**image), TemporalVae(**over_time)
    fill(vae, _under(state, _FRAMES), config.autoencoder)
    fill(time, _under(state, _TIME), config.autoencoder)
    made = OpenSoraPipeline(
        vae=vae,
        temporal_vae=time,
        text_encoder=T5EncoderModel.from_pretrained(_folder(config.text)),
        tokenizer=T5Tokenizer.from_pretrained(_folder(config.text)),
        transformer=_denoiser(Path(config.denoiser)),
    )
    made.save_pretrained(folder)
    say(f"Made {folder}. Train it with --model {folder}.")
    return folder


def _denoiser(folder: Path) -> Any:
    from train.nets.stdit3 import STDiT3

    state = _read(folder)
    told = json.loads((folder / "config.json").read_text())
    known = STDiT3._get_init_keys(STDiT3)
    network = STDiT3(**{name: value for name, value in told.items() if name in known})
    fill(network, state, str(folder))
    return network


def fill(module: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Loads weights by name.

    Raises:
        UserError: One is missing, left over, or of another shape.
    """
    try:
        module.load_state_dict(state, strict=True)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip()
        raise UserError(
            f"{source} is not the published {type(module).__name__} of Open-Sora 1.2: {first}"
        ) from error


def _under(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in state.items() if prefix in key}


def _read(folder: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return load_file(Path(_folder(str(folder))) / _WEIGHTS)


def _folder(name: str) -> str:
    if not Path(name).is_dir():
        raise UserError(f"There is no folder {name}. Download it from the hub first; see --help.")
    return name


@user_errors
def main(argv: Sequence[str] | None = None) -> int:
    """The command line of this module."""
    options = parser(Config, "python -m train.nets.open_sora", __doc__ or "")
    run(Config(**vars(options.parse_args(argv))))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
