"""How an adapter is written and read: what differs between pipelines with and without a loader.

Peft keeps a LoRA inside the network's own modules; only the file differs by family. `PipelineLora`
is the rule: the file that `pipe.load_lora_weights` of diffusers reads. `NetworkLora` serves
pipelines that have no loader: one file per component, in peft's names without a prefix, which
`pipe.<component>.load_lora_adapter(folder, weight_name=..., prefix=None)` of diffusers reads where
the network has that method, and `NetworkLora.load` everywhere. Both carry the LoRA's configuration
in the file's metadata: without it alpha is lost and the reloaded adapter has another scale.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffusers.loaders import PeftAdapterMixin
from peft import LoraConfig, inject_adapter_in_model, set_peft_model_state_dict
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

_CONFIG = "lora_adapter_metadata"  # diffusers' name for it in a file's metadata

State = Mapping[str, Tensor]
Config = Mapping[str, Any]


def attach(network: nn.Module, config: LoraConfig, name: str) -> None:
    """Puts a fresh adapter on a network, a diffusers model or any other."""
    if isinstance(network, PeftAdapterMixin):
        network.add_adapter(config, adapter_name=name)  # it keeps books that its loader needs
    else:
        inject_adapter_in_model(config, network, name)


class PipelineLora:
    """Through the pipeline's own `save_lora_weights` and `load_lora_weights`; one component."""

    def __init__(self, pipeline: Any) -> None:
        """Takes a pipeline with a LoRA mixin whose networks can take adapters."""
        self._pipeline = pipeline

    def save(
        self, folder: Path, file: str, states: Mapping[str, State], configs: Mapping[str, Config]
    ) -> list[Path]:
        """See `LoraFiles`."""
        layers = {f"{part}_lora_layers": dict(state) for part, state in states.items()}
        metadata = {f"{part}_lora_adapter_metadata": configs[part] for part in states}
        self._pipeline.save_lora_weights(folder, weight_name=file, **layers, **metadata)
        return [folder / file]

    def usage(self, folder: Path, file: str) -> list[str]:  # noqa: ARG002  diffusers finds it
        """See `LoraFiles`."""
        return [f'pipe.load_lora_weights("{folder}")']

    def load(self, folder: Path, file: str, name: str) -> None:
        """See `LoraFiles`."""
        self._pipeline.load_lora_weights(str(folder), weight_name=file, adapter_name=name)


class NetworkLora:
    """Through peft alone, for networks and pipelines without a loader of diffusers."""

    def __init__(self, components: Mapping[str, nn.Module]) -> None:
        """Takes the networks; the first goes to the file asked for, others to `<name>.` + it."""
        self._components = components

    def save(
        self, folder: Path, file: str, states: Mapping[str, State], configs: Mapping[str, Config]
    ) -> list[Path]:
        """See `LoraFiles`."""
        folder.mkdir(parents=True, exist_ok=True)
        files = self._files(folder, file)
        for part, path in files.items():
            config = json.dumps(configs[part], indent=2, sort_keys=True)
            save_file(dict(states[part]), path, metadata={"format": "pt", _CONFIG: config})
        return list(files.values())

    def usage(self, folder: Path, file: str) -> list[str]:  # noqa: ARG002  no pipeline reads them
        """See `LoraFiles`."""
        return []

    def load(self, folder: Path, file: str, name: str) -> None:
        """See `LoraFiles`."""
        for part, path in self._files(folder, file).items():
            _inject(self._components[part], path, name)

    def _files(self, folder: Path, file: str) -> dict[str, Path]:
        first, *others = self._components
        return {first: folder / file} | {part: folder / f"{part}.{file}" for part in others}


def _inject(network: nn.Module, path: Path, name: str) -> None:
    if not path.is_file():
        raise ValueError(f"{path.name} is missing")
    with safe_open(path, framework="pt") as opened:
        metadata = opened.metadata() or {}
        if _CONFIG not in metadata:
            raise ValueError(f"{path.name} has no {_CONFIG} in its metadata")
        state = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118  no mapping
    inject_adapter_in_model(LoraConfig(**json.loads(metadata[_CONFIG])), network, name)
    found = set_peft_model_state_dict(network, state, adapter_name=name)
    if found.unexpected_keys:
        raise ValueError(f"{len(found.unexpected_keys)} weights fit no module of the network")
