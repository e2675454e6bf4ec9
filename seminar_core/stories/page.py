"""A story as one HTML file: Plotly inside, no network, arrow keys to present, one slide a sheet when printed."""

from __future__ import annotations

import html
import os
import uuid
from pathlib import Path
from typing import Any

from ..errors import MissingFileError, ResourceError
from ..progress import Progress, silent
from ..workspace import Workspace
from .slides import Shown, Stage
from .story import FORMAT, Story

MOST_BYTES = 10_000_000
STYLE = """
:root { color-scheme: light; } * { box-sizing: border-box; }
body { margin: 0; font: 18px/1.5 system-ui, sans-serif; color: #222; background: #fff; }
main { max-width: 62rem; margin: 0 auto; padding: 1rem; }
section { padding: 1.5rem 0 2rem; border-bottom: 1px solid #ddd; }
h1 { font-size: 1.9rem; } h2 { font-size: 1.5rem; margin: .2rem 0 .6rem; }
.note { color: #444; border-left: 4px solid #56b4e9; padding: .2rem .8rem; margin-top: .8rem; }
.missing { color: #8a3b00; border-left: 4px solid #d55e00; padding: .2rem .8rem; }
.help { color: #555; font-size: .9rem; }
body.show section { display: none; border: 0; min-height: 92vh; } body.show section.now { display: block; }
body.show .help, body.show header { display: none; } body.quiet .note { display: none; }
.said { color: #444; font-size: .95rem; }
:focus-visible { outline: 3px solid #0072b2; outline-offset: 2px; }
@page { size: A4 landscape; margin: 12mm; }
@media print {
  body.show section, section { display: block; min-height: 0; break-after: page; break-inside: avoid; border: 0; }
  section:last-of-type { break-after: auto; } .help, .modebar-container { display: none !important; } }
"""
SCRIPT = """
const slides = [...document.querySelectorAll('section')]; let at = 0;
function go(n) { at = Math.max(0, Math.min(slides.length - 1, n));
  slides.forEach((s, i) => s.classList.toggle('now', i === at)); window.dispatchEvent(new Event('resize')); }
document.addEventListener('keydown', (e) => {
  if (e.key === 'p') { document.body.classList.toggle('show'); go(at); }
  else if (e.key === 'n') document.body.classList.toggle('quiet');
  else if (e.key === 'f') document.documentElement.requestFullscreen();
  else if (e.key === 'Escape') document.body.classList.remove('show');
  else if (['ArrowRight', 'PageDown', ' '].includes(e.key) && document.body.classList.contains('show')) {
    e.preventDefault(); go(at + 1); }
  else if (['ArrowLeft', 'PageUp'].includes(e.key) && document.body.classList.contains('show')) {
    e.preventDefault(); go(at - 1); }
});
go(0);
"""


def export_story(workspace: Workspace, story: Story, out: Path, progress: Progress = silent) -> dict[str, Any]:
    """Write a story as one HTML file; what the command `story export` answers.

    Returns:
        story, out, bytes, slides, and `missing`: list of {slide, why} of what could not be shown.

    Raises:
        ResourceError: it would be larger than `MOST_BYTES`; the message says which part is large, nothing is written.
        MissingFileError: it cannot be written there.
    """
    stage, shown = Stage(workspace), []
    for number, slide in enumerate(story.slides):
        progress(number, len(story.slides), f"drawing {slide.view}")
        shown.append(stage.show(slide))
    parts = [section(number, one) for number, one in enumerate(shown, start=1)]
    head = header(story, shown)
    page = (
        f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{html.escape(story.title)}</title><style>{STYLE}</style><body><main>{head}{''.join(parts)}</main>"
        f"<script>{SCRIPT}</script></body></html>"
    )
    size = len(page.encode())
    if size > MOST_BYTES:
        largest = max(range(len(parts)), key=lambda number: len(parts[number]))
        raise ResourceError(
            f"the story would have {size:,} bytes, at most {MOST_BYTES:,} are written; slide {largest + 1} "
            f"({story.slides[largest].view}) has {len(parts[largest].encode()):,} of them",
            hint="leave that slide out",
        )
    partial = out.with_name(f".partial-{uuid.uuid4().hex[:8]}-{out.name}")
    try:
        partial.write_text(page, encoding="utf-8")
        os.replace(partial, out)
    except OSError as error:
        raise MissingFileError(
            f"the story cannot be written to {out}: {error}", hint="choose a folder that exists"
        ) from error
    missing = [{"slide": number, "why": one.missing} for number, one in enumerate(shown, start=1) if one.missing]
    return {"story": story.name, "out": str(out), "bytes": size, "slides": len(shown), "missing": missing}


def header(story: Story, shown: list[Shown]) -> str:
    """Title, keys, and what is not there."""
    gone = sum(bool(one.missing) for one in shown)
    lines = [f"<header><h1>{html.escape(story.title)}</h1>"]
    if story.format != FORMAT:
        lines.append(
            f"<p class=missing>Written as format {story.format}, this is {FORMAT}: what is known is shown.</p>"
        )
    if gone:
        lines.append(f"<p class=missing>{gone} of {len(shown)} slides cannot be shown; each says why.</p>")
    lines.append(
        "<p class=help>Keys: <b>p</b> present, arrows to go on and back, <b>f</b> full screen, <b>n</b> notes, "
        "<b>Esc</b> back to the page.</p></header>"
    )
    return "".join(lines)


def section(number: int, one: Shown) -> str:
    """One slide; Plotly's script comes with the first."""
    slide = one.slide
    body = [f"<section><h2>{html.escape(slide.caption or slide.view)}</h2>"]
    if one.missing:
        body.append(f"<p class=missing>{html.escape(one.missing)}</p>")
    if one.words:
        body.append(f"<p>{html.escape(one.words)}</p>")
    if one.figure is not None:
        drawn = one.figure.to_html(
            full_html=False, include_plotlyjs=number == 1, config={"displaylogo": False, "responsive": True}
        )
        body.append(f"<div role=img aria-label='{html.escape(one.words, quote=True)}'>{drawn}</div>")
    if slide.note:
        body.append(f"<p class=note>{html.escape(slide.note)}</p>")
    for one_said in slide.comments:
        head = f"{html.escape(one_said.name)}, {html.escape(one_said.time[:16].replace('T', ' '))}"
        body.append(f"<p class=said><b>{head}:</b> {html.escape(one_said.text)}</p>")
    return "".join(body) + "</section>"
