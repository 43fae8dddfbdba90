"""Settings of `data.ingest`, and its command line."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass, field
from typing import get_args

from data import folders, video
from data.console import Parser
from data.records import Split


@dataclass(frozen=True, kw_only=True)
class Config:
    """What to take in, and what to assume where a source does not say."""

    sources: tuple[str, ...] = ()
    votes: tuple[str, ...] = ()
    pairs: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    campaign: str = ""
    db: str = "prefs.duckdb"
    split: Split = "train"
    model: str = ""
    prompt_from: folders.PromptFrom = "files"
    model_from: folders.ModelFrom = "option"
    max_frames: int = video.MAX_FRAMES
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)


def parser(doc: str | None) -> argparse.ArgumentParser:
    """The command's options; `doc` is its help."""
    made = Parser(
        prog="python -m data.ingest",
        description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("sources", nargs="*", metavar="SOURCE", help="manifest, folder of clips, or clip")
    for name, metavar, text in (
        ("votes", "FILE", "votes that were cast in another tool"),
        ("pairs", "FILE", "pairs with a label: prompt, chosen, rejected; or a VideoDPO folder"),
        ("columns", "FIELD=COLUMN,...", "of vote files: names of their own, preferred=verdict"),
        (
            *("values", "WORD=ANSWER,..."),
            "of vote files: words of their own, 1=left,2=right,0=tie; or =unusable, =skip",
        ),
    ):
        add(f"--{name}", action="append", default=[], metavar=metavar, help=text)
    add(
        "--campaign",
        default=Config.campaign,
        help="that votes and pairs of files go into (default: votes-<name>, pairs-<name>)",
    )
    add(
        "--db",
        default=Config.db,
        help="database (default %(default)s); playable copies go to the .clips folder beside it",
    )
    add(
        "--split",
        default=Config.split,
        choices=get_args(Split),
        help="of the prompts, where a manifest has no column for it (default %(default)s)",
    )
    add(
        "--model",
        default=Config.model,
        help="generator, for people, where the source does not say (default: empty)",
    )
    add(
        "--prompt-from",
        default=Config.prompt_from,
        choices=get_args(folders.PromptFrom),
        help="for folders: files (default) = side-car .txt, prompts.json, prompts.txt; "
        "name = the file name, '<prompt>-<index>.mp4' as VBench writes it",
    )
    add(
        "--model-from",
        default=Config.model_from,
        choices=get_args(folders.ModelFrom),
        help="for folders: option (default) = --model; folder = the first folder below SOURCE",
    )
    add(
        "--max-frames",
        type=int,
        default=Config.max_frames,
        help="longest clip that is taken, in frames (default %(default)s)",
    )
    add(
        "--workers",
        type=int,
        default=os.cpu_count() or 1,
        help="clips handled at once (default: the number of CPUs)",
    )
    return made
