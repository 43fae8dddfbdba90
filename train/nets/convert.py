"""Make a folder that can be trained from VideoCrafter2's published checkpoint, and T2V-Turbo's.

    python -m train.nets.convert --checkpoint model.ckpt --out videocrafter2
    python -m train.nets.convert --checkpoint model.ckpt --turbo unet_lora.pt --out t2v-turbo
    python -m train.dpo --model t2v-turbo ...

The checkpoint is VideoCrafter/VideoCrafter2 `model.ckpt`, the LoRA jiachenli-ucsb/T2V-Turbo-VC2
`unet_lora.pt` on the Hugging Face hub. The words of CLIP's tokenizer are in neither: they are
fetched from the hub, or read from a folder. With --unmerged the folder is VideoCrafter2 with an
unused guidance projection, and T2V-Turbo is `adapter/` in it, for --from-adapter of train.dpo.

Left out on purpose: converting back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.console import say
from data.errors import UserError, user_errors
from train.options import option, parser

if TYPE_CHECKING:
    from diffusers import DDIMScheduler, DiffusionPipeline
    from transformers import CLIPTokenizer

    from train.nets.turbo_lora import Update

_GUIDANCE_WIDTH = 256


@dataclass(frozen=True, kw_only=True)
class Config:
    """What to convert."""

    checkpoint: str = option("model.ckpt", "VideoCrafter2's published checkpoint")
    out: str = option("videocrafter2", "folder to make; must not exist")
    turbo: str | None = option(None, "T2V-Turbo's unet_lora.pt (version 1); none: VideoCrafter2")
    unmerged: bool = option(default=False, text="keep T2V-Turbo's LoRA apart, in OUT/adapter")
    tokenizer: str = option("openai/clip-vit-large-patch14", "hub id or folder of CLIP's tokenizer")


def run(config: Config, *, sizes: Mapping[str, Mapping[str, Any]] | None = None) -> Path:
    """Reads, translates, writes; returns the folder.

    Args:
        config: The command line.
        sizes: Of `unet`, `vae` and `text_encoder`, where they are not the published ones.

    Raises:
        UserError: A file is missing or another model's, or the folder exists.
    """
    from train.models.t2v_turbo import T2VTurboPipeline
    from train.models.videocrafter import VideoCrafterPipeline
    from train.nets import turbo_lora
    from train.nets import videocrafter_checkpoint as published

    folder = Path(config.out)
    if folder.exists():
        raise UserError(f"{folder} exists already. Choose another --out.")
    if config.unmerged and config.turbo is None:
        raise UserError("--unmerged is about T2V-Turbo's LoRA: give it with --turbo.")
    own = {"unet": {}, "vae": {}, "text_encoder": {}} | dict(sizes or {})
    width = {} if config.turbo is None else {"guidance_width": _GUIDANCE_WIDTH}
    state = published.read(Path(config.checkpoint))
    unet = published.unet(state, **width | dict(own["unet"]))
    kind = VideoCrafterPipeline if config.turbo is None else T2VTurboPipeline
    made = kind(
        vae=published.autoencoder(state, **own["vae"]),
        text_encoder=published.text_encoder(state, **own["text_encoder"]),
        tokenizer=_tokenizer(config.tokenizer),
        unet=unet,
        scheduler=scheduler(),
    )
    if config.turbo is not None:
        updates = turbo_lora.named(published.matrices(Path(config.turbo)), unet)
        if config.unmerged:
            _write_adapter(made, updates, folder / "adapter")
        else:
            turbo_lora.merge(updates, unet)
    made.save_pretrained(folder)
    say(f"Made {folder}. Train it with --model {folder}.")
    return folder


def _tokenizer(source: str) -> CLIPTokenizer:
    """CLIP's words, padding with token 0 as OpenCLIP does."""
    from transformers import CLIPTokenizer

    try:
        found = CLIPTokenizer.from_pretrained(source)
    except OSError as error:
        raise UserError(
            f"CLIP's tokenizer cannot be read from {source} ({type(error).__name__}). Check the "
            "network, or give the folder of a downloaded copy with --tokenizer."
        ) from error
    found.pad_token = found.convert_ids_to_tokens(0)
    return found


def scheduler() -> DDIMScheduler:
    """The published noise levels and timesteps: betas linear in their roots, 1, 21, ... 981."""
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


def _write_adapter(
    pipeline: DiffusionPipeline, updates: Mapping[str, Update], folder: Path
) -> None:
    from train.models.lora import PipelineLora
    from train.nets.turbo_lora import adapter
    from train.policy import WEIGHTS

    state, config = adapter(updates)
    PipelineLora(pipeline).save(folder, WEIGHTS, {"unet": state}, {"unet": config})


@user_errors
def main(argv: Sequence[str] | None = None) -> int:
    """The command line of this module."""
    options = parser(Config, "python -m train.nets.convert", __doc__ or "")
    run(Config(**vars(options.parse_args(argv))))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
