"""One self-contained HTML page of a comparison: no network, no other file, works from a mail.

The clips play in lock-step from one clock: each is a strip of its frames, embedded as an image, of
which one frame shows. So any browser plays them, frames step exactly, and small clips stay sharp.
Space plays and pauses, the arrow keys step, and who prefers reduced motion finds them paused.

Left out on purpose: charts, and clips in full size (they lie in `clips/`, without loss).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import UInt8

from data import video
from train.comparison.duels import OMNISCORE, ORACLE, Sampled
from train.sampling.first_image import fitted

_TEMPLATE = Path(__file__).parent / "report_page.html"
_FRAMES, _SIDE = 16, 256
"""Most frames of a strip, and most pixels of their longer side."""


def write(path: Path, facts: Mapping[str, Any], clips: Sequence[Sampled], *, shown: int) -> Path:
    """Write the page.

    Args:
        path: Of the page.
        facts: What `report.json` holds.
        clips: Of every arm; of each prompt the first clip is shown.
        shown: How many prompts.
    """
    parts = {
        "MODEL": escape(str(facts["model"])),
        "SUMMARY": _summary(facts),
        "DUELS": _duels(facts["duels"]),
        "AGREEMENT": _agreement(facts["agreement"]),
        "ARMS": _arms(facts),
        "PEOPLE": _people(facts),
        "COSTS": _costs(facts["costs"]),
        "CLIPS": _clips(clips, shown, facts.get("images", {})),
        "CONFIG": escape(", ".join(f"{k} {v}" for k, v in facts["config"].items() if v != "")),
        "CODE": escape(str(facts["code"])),
    }
    page = _TEMPLATE.read_text(encoding="utf-8")
    for name, text in parts.items():
        page = page.replace(f"<!--{name}-->", text)
    path.write_text(page, encoding="utf-8")
    return path


def strip(frames: UInt8[np.ndarray, "t h w 3"]) -> str:
    """The clip's frames side by side as a `data:` URI, thinned and shrunk where it is large."""
    pick = np.linspace(0, len(frames) - 1, min(_FRAMES, len(frames))).round().astype(int)
    chosen, longer = frames[pick], max(frames.shape[1:3])
    if longer > _SIDE:
        size = (frames.shape[2] * _SIDE // longer, frames.shape[1] * _SIDE // longer)
        chosen = np.stack([cv2.resize(f, size, interpolation=cv2.INTER_AREA) for f in chosen])
    sheet = cv2.cvtColor(np.concatenate(list(chosen), axis=1), cv2.COLOR_RGB2BGR)
    kind = ".png" if longer <= _SIDE // 2 else ".jpg"
    done, data = cv2.imencode(kind, sheet)
    if not done:
        raise RuntimeError(f"OpenCV could not encode a strip of {sheet.shape} as {kind}")
    text = base64.b64encode(data.tobytes()).decode()
    return f"data:image/{'png' if kind == '.png' else 'jpeg'};base64,{text}"


def _summary(facts: Mapping[str, Any]) -> str:
    pairs = facts["pairs"]
    trained = (
        f" Trained on the {pairs['common']} pairs that every label source labels; "
        f"they choose different clips in {pairs['opposed']}."
        if pairs
        else ""
    )
    return escape(
        f"Results on the model `{facts['model']}`, on {facts['prompts']} held-out prompts, one "
        f"training seed.{trained} Votes up to number {facts['snapshot']}. Differences up to "
        f"{facts['tie']} are ties."
    )


def _duels(duels: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for one in duels:
        rate = one["rate"]
        low, high, share = (100 * rate[key] for key in ("low", "high", "share"))
        rows.append(
            f"<tr><th scope=row>{escape(one['ours'])} <span>against</span> {escape(one['theirs'])}"
            f"</th><td>{escape(one['measure'])}</td><td class=number>{share:.0f} %</td>"
            f"<td class=number>{low:.0f} to {high:.0f} %</td><td class=bar><i style="
            f'"--low:{low:.1f}%;--high:{high:.1f}%;--at:{share:.1f}%"></i></td>'
            f"<td class=number>{rate['n']}</td></tr>"
        )
    return "".join(rows)


def _agreement(found: Mapping[str, Any]) -> str:
    rows = []
    for name in ("blind", "shown", "revealed", "overall"):
        one = found[name]
        share, low, high = (one["agreement"][key] for key in ("share", "low", "high"))
        told = "no data" if share is None else f"{share:.0%} ({low:.0%} to {high:.0%})"
        cells = [one[key] for key in ("confirmations", "overrides", "ties", "unusable", "skips")]
        rows.append(
            f"<tr><th scope=row>{name}</th><td class=number>{told}</td>"
            + "".join(f"<td class=number>{cell}</td>" for cell in cells)
            + "</tr>"
        )
    return "".join(rows)


def _people(facts: Mapping[str, Any]) -> str:
    """What was asked of people, and what they have said so far."""
    if "panel" not in facts:
        return "No people were asked to judge the arms; --people asks them."
    met, said = facts["panel"]["meetings"], facts.get("people")
    equal = sum(one["pair"] is None for one in met)
    text = f"People judge {len(met)} pairs of clips blind, in campaign {facts['panel']['campaign']}"
    text += f" ({equal} are equal byte for byte and count as ties). "
    if said is None:
        return escape(text + "Nobody's votes have been read yet.")
    return escape(
        f"{text}{said['votes']} votes of {said['people']} people in {said['minutes']:.1f} minutes; "
        f"{said['unusable']} unusable; {said['open']} pairs have no vote yet."
    )


def _costs(costs: Mapping[str, Mapping[str, float]]) -> str:
    return "".join(
        f"<tr><th scope=row>{escape(arm)}</th><td class=number>{one['votes']:.0f}</td>"
        f"<td class=number>{one['annotator_minutes']:.1f}</td>"
        f"<td class=number>{one['training_seconds']:.0f}</td></tr>"
        for arm, one in costs.items()
    )


def _arms(facts: Mapping[str, Any]) -> str:
    means = facts["means"]
    known = {name for scores in means.values() for name in scores}
    measures = [name for name in (ORACLE, OMNISCORE) if name in known]
    measures += sorted(known - set(measures))
    head = "".join(f"<th scope=col class=number>{escape(arm)}</th>" for arm in means)
    rows = [
        f"<tr><th scope=row>{escape(name.replace('_', ' '))}</th>"
        + "".join(
            f"<td class=number>{scores[name]:.3f}</td>" if name in scores else "<td>missing</td>"
            for scores in means.values()
        )
        + "</tr>"
        for name in measures
    ]
    return f"<thead><tr><th scope=col>measure</th>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"


def _clips(clips: Sequence[Sampled], shown: int, images: Mapping[str, str]) -> str:
    first: dict[str, list[Sampled]] = {}
    for clip in clips:
        if clip.index == 0:
            first.setdefault(clip.prompt, []).append(clip)
    return "".join(
        f"<section class=row><h3>{escape(prompt)}</h3>{_begins(images.get(prompt), arms[0])}"
        f"{''.join(map(_figure, arms))}</section>"
        for prompt, arms in list(first.items())[:shown]
    )


def _begins(image: str | None, clip: Sampled) -> str:
    """The image that all arms were given, as the model saw it: at the size of the clips."""
    if image is None:
        return ""
    frames, _ = video.read(clip.path)
    seen = (fitted(Path(image), *frames.shape[1:3]) * 255).round().to(torch.uint8)
    return _picture(seen.permute(1, 2, 0).numpy()[None], "first image", "given to every arm")


def _figure(clip: Sampled) -> str:
    frames, _ = video.read(clip.path)
    scores = ", ".join(
        f"{name} {clip.scores[name]:.2f}" for name in (ORACLE, OMNISCORE) if name in clip.scores
    )
    return _picture(frames, clip.arm, scores)


def _picture(frames: UInt8[np.ndarray, "t h w 3"], name: str, told: str) -> str:
    """A clip, or an image as a clip of one frame, and what is said of it."""
    count, wide, high = min(_FRAMES, len(frames)), frames.shape[2], frames.shape[1]
    kind = "clip of " if count > 1 else ""
    return (
        f'<figure><div class=clip role=img aria-label="{kind}{escape(name)}" '
        f'style="--n:{count};aspect-ratio:{wide}/{high};background-image:url({strip(frames)})"></div>'
        f"<figcaption><b>{escape(name)}</b> {escape(told)}</figcaption></figure>"
    )
