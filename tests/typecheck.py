"""The type checker that the tests run every shape and annotation of the rooms through."""

from __future__ import annotations

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
"""beartype that takes an int where a float is annotated, as PEP 484 does."""
