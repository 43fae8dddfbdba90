"""HTML for the lead's pages. Every text is escaped as it goes in: only `Markup` is taken as HTML.

Names, prompts and comments are untrusted. They reach the browser through `Markup.format`, `join` or
`escape` of markupsafe and through nothing else, and as the value of a `gr.HTML` that has no other
template, so that neither `<` nor `${...}` nor `{{...}}` in a prompt means anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup, escape

from data.agreement import Share

DASH = "–"
_LONG = 300
"""Characters of a prompt or a comment in a table; the pair's page has all of it."""


@dataclass(frozen=True, slots=True)
class Column:
    """The heading of a column; without text where the cells only repeat in a picture."""

    text: str
    number: bool = False


def joined(parts: Iterable[object]) -> Markup:
    """The parts one after the other, each escaped unless it is HTML."""
    return Markup("").join(escape(part) for part in parts)


def table(title: str, columns: Sequence[Column], rows: Iterable[Sequence[object]]) -> Markup:
    """A table that scrolls sideways by itself; the first cell of a row is its heading."""
    head = joined(
        Markup("<th scope=col{}>{}</th>").format(_numeric(column), column.text)
        if column.text
        else Markup("<td></td>")
        for column in columns
    )
    body = joined(Markup("<tr>{}</tr>").format(_cells(columns, row)) for row in rows)
    return Markup(
        '<div class=ll-scroll tabindex=0 role=region aria-label="{0}">'
        "<table><caption class=ll-unseen>{0}</caption>"
        "<thead><tr>{1}</tr></thead><tbody>{2}</tbody></table></div>"
    ).format(title, head, body)


def _numeric(column: Column) -> Markup:
    return Markup(" class=ll-number") if column.number else Markup("")


def _cells(columns: Sequence[Column], row: Sequence[object]) -> Markup:
    first, *rest = row
    cells = [
        Markup("<td{}>{}</td>").format(_numeric(column), cell)
        for column, cell in zip(columns[1:], rest, strict=True)
    ]
    return Markup("<th scope=row dir=auto>{}</th>{}").format(first, joined(cells))


def percent(value: float | None) -> str:
    """`62 %`; a dash where there is none."""
    return DASH if value is None else f"{100 * value:.0f} %"


def share(found: Share, *, middle: bool = False) -> Markup:
    """A share with its interval, as words and as a bar; a dash where nothing was counted.

    Args:
        found: The share.
        middle: Draw a mark at one half, where a coin would fall.
    """
    return estimate(found.share, found.low, found.high, found.n, middle=middle)


def estimate(
    value: float | None, low: float | None, high: float | None, n: int, *, middle: bool = False
) -> Markup:
    """As `share`, from its parts."""
    if value is None:
        return Markup("<span class=ll-quiet>{}</span>").format(DASH)
    if low is None or high is None:
        return Markup("<span class=ll-share><b>{}</b> <small>n = {}</small></span>").format(
            percent(value), n
        )
    style = Markup("--at:{:.1f}%;--low:{:.1f}%;--high:{:.1f}%").format(
        100 * value, 100 * low, 100 * high
    )
    return Markup(
        "<span class=ll-share><b>{}</b> <small>{:.0f} to {:.0f} %, n = {}</small>"
        '<i class="ll-bar{}" style="{}" aria-hidden=true></i></span>'
    ).format(percent(value), 100 * low, 100 * high, n, Markup(" ll-half") if middle else "", style)


def seconds(value: float | None) -> str:
    """`4.2 s`, `95 s`; a dash where there is none."""
    if value is None:
        return DASH
    return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"


def moment(time_ms: int) -> Markup | str:
    """A date and time of the server's zone; a dash for 0."""
    if not time_ms:
        return DASH
    when = datetime.fromtimestamp(time_ms / 1000).astimezone()
    return Markup('<time datetime="{}">{}</time>').format(
        when.isoformat(timespec="seconds"), f"{when:%Y-%m-%d %H:%M}"
    )


def brief(text: str, *, longest: int = _LONG) -> str:
    """`text`, cut where it is long."""
    return text if len(text) <= longest else f"{text[:longest]} …"


def words(text: str, *, longest: int = _LONG) -> Markup:
    """Somebody's own words, in whichever direction they are written."""
    return Markup("<span class=ll-words dir=auto>{}</span>").format(brief(text, longest=longest))


def link(address: str, text: object) -> Markup:
    """A link to a page of ours."""
    return Markup('<a href="{}">{}</a>').format(address, text)


def tag(text: str, kind: str = "") -> Markup:
    """A short mark beside a name; `kind` is `warn`, `good` or nothing."""
    return Markup('<span class="ll-tag{}">{}</span>').format(kind and f" ll-{kind}", text)


def video(address: str, label: str, *, width: int = 0, height: int = 0) -> Markup:
    """A clip that plays where it stands; `frame.block` shows its first frame when it is in view.

    Args:
        address: where it is fetched.
        label: what it is called.
        width: pixels; with `height` its place is kept before anything is fetched. 0: not known.
        height: pixels.
    """
    return Markup(
        '<video src="{}" aria-label="{}" width={} height={} controls muted playsinline loop '
        "preload=none></video>"
    ).format(address, label, width, height)


def section(title: str, *parts: object, note: str = "") -> Markup:
    """A part of a page under its heading, with a quiet sentence that explains it."""
    said = Markup("<p class=ll-quiet>{}</p>").format(note) if note else ""
    return Markup("<section><h2>{}</h2>{}{}</section>").format(title, said, joined(parts))


def facts(pairs: Iterable[tuple[str, object]]) -> Markup:
    """Names and values, one under the other."""
    rows = joined(Markup("<dt>{}</dt><dd>{}</dd>").format(*pair) for pair in pairs)
    return Markup("<dl class=ll-facts>{}</dl>").format(rows)


def figures(numbers: Mapping[str, object]) -> Markup:
    """A few large numbers in a row."""
    cells = joined(
        Markup("<div><dt>{}</dt><dd>{}</dd></div>").format(name, value)
        for name, value in numbers.items()
    )
    return Markup("<dl class=ll-figures>{}</dl>").format(cells)


def empty(title: str, text: str, commands: Iterable[tuple[str, str]] = ()) -> Markup:
    """What a page says that has nothing to show, and the commands that mend it."""
    steps = joined(
        Markup("<p>{}</p><code>{}</code>").format(why, command) for why, command in commands
    )
    return Markup("<section class=ll-empty><h2>{}</h2><p>{}</p>{}</section>").format(
        title, text, steps
    )


def safe(text: object) -> Markup:
    """Any text as HTML that shows it."""
    return escape(text)
