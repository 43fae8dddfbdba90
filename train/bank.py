"""Random draws by counter: noise and noise level as pure functions of (seed, name, k).

Each draw is seeded by a hash of its arguments, so it is the same in every order, in every process,
on every device (the generator is the CPU's), and after a resume; no global generator is touched.
The same (seed, name, k) gives the two arms of a comparison the same noise.

Left out on purpose: drawing on the device, which would be faster and different on every one.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from data.records import digest

_MANTISSA = 53  # bits of a double: k / 2**53 is exact and below 1


def counter(*parts: object) -> int:
    """A 64-bit number from a hash of `parts`: a seed for one purpose and no other."""
    return int(digest("bank", *parts)[:16], 16)


def generator(*parts: object) -> torch.Generator:
    """A CPU generator seeded by `counter(*parts)`."""
    return torch.Generator().manual_seed(counter(*parts))


def uniform(bank_seed: int | str, name: str, k: int) -> float:
    """A uniform draw in [0, 1), the `k`-th of `name` (for training, a pair's id)."""
    return (counter("uniform", bank_seed, name, k) >> (64 - _MANTISSA)) / 2**_MANTISSA


def noise(
    bank_seed: int | str, name: str, k: int, shape: tuple[int, ...]
) -> Float[Tensor, "*shape"]:
    """Standard normal draws on the CPU, the `k`-th of `name`."""
    return torch.randn(shape, generator=generator("noise", bank_seed, name, k))
