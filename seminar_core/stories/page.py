"""A story as one HTML file: Plotly inside, no network, arrow keys to present, one slide a sheet when printed."""

from __future__ import annotations

import html
import os
import uuid
from pathlib import Path
from typing import Any

from plotly.offline import get_plotlyjs

from ..errors import ConfigError, MissingFileError, ResourceError
from ..progress import Progress, silent
from ..workspace import Workspace
from .glossary import explained, glossary
from .slides import Shown, Stage
from .story import FORMAT, Story

MOST_BYTES = 10_000_000
HEIGHT = 420
STYLE = """
:root { color-scheme: light; } * { box-sizing: border-box; }
body { margin: 0; font: 18px/1.5 system-ui, sans-serif; color: #222; background: #fff; }
main { max-width: 62rem; margin: 0 auto; padding: 1rem; }
section { padding: 1.5rem 0 2rem; border-bottom: 1px solid #ddd; }
h1 { font-size: 1.9rem; } h2 { font-size: 1.5rem; margin: .2rem 0 .6rem; }
.note { color: #444; border-left: 4px solid #56b4e9; padding: .2rem .8rem; margin-top: .8rem; }
.missing { color: #8a3b00; border-left: 4px solid #d55e00; padding: .2rem .8rem; }
.help { color: #555; font-size: .9rem; }
.page { display: none; }
abbr { text-decoration: underline dotted; cursor: help; } dt { font-weight: 600; } dd { margin: 0 0 .6rem; }
body.show main { max-width: none; padding: 0 4vw; }
body.show section { display: none; }
body.show section.now { display: flex; flex-direction: column; border: 0; height: 100vh; padding: 2vh 0;
  overflow-y: auto; }
body.show section.now > * { flex: none; max-width: 80rem; }
body.show section.now .picture { flex: 1 0 16rem; max-width: none; position: relative; }
body.show .picture > div { position: absolute; inset: 0; height: auto !important; }
body.show .page { display: block; position: fixed; right: 1rem; bottom: .5rem; margin: 0; color: #595959; }
body.show h2 { font-size: clamp(1.5rem, 2.6vw, 2.6rem); }
body.show p { font-size: clamp(1rem, 1.4vw, 1.5rem); margin: .4rem 0; }
body.show .help, body.show header, body.show footer, body.show .modebar-container { display: none !important; }
body.quiet .note { display: none !important; }
.said { color: #444; font-size: .95rem; }
h2:focus { outline: none; } :focus-visible { outline: 3px solid #0072b2; outline-offset: 2px; }
@media (max-width: 640px) { .modebar-container { display: none !important; } }
@page { size: A4 landscape; margin: 12mm; }
@media print {
  main { padding: 0 !important; } dl { columns: 2; } dt { break-after: avoid; }
  body.show .picture > div { position: static; height: 420px !important; }
  body.show section, body.show section.now, section { display: block; height: auto; padding: 0; break-after: page;
    break-inside: avoid; border: 0; }
  body.show footer { display: block !important; }
  .help, .page, .modebar-container { display: none !important; } abbr { text-decoration: none; } }
"""
SCRIPT = """
const slides = [...document.querySelectorAll('section')], body = document.body; let at = 0;
const plots = () => [...document.querySelectorAll('.plotly-graph-div')];
function go(n) {
  at = Math.max(0, Math.min(slides.length - 1, n));
  slides.forEach((s, i) => s.classList.toggle('now', i === at));
  const shown = body.classList.contains('show'), plot = slides[at].querySelector('.plotly-graph-div');
  if (shown) slides[at].querySelector('h2').focus({ preventScroll: true });
  if (plot) Plotly.relayout(plot, { 'font.size': shown ? Math.max(13, innerWidth / 105) : 12 });
  window.dispatchEvent(new Event('resize'));
}
const turns = { ArrowRight: () => at + 1, PageDown: () => at + 1, ' ': () => at + 1, ArrowLeft: () => at - 1,
  PageUp: () => at - 1, Home: () => 0, End: () => slides.length - 1 };
document.addEventListener('keydown', (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey) return;
  if (e.key === 'p') { body.classList.toggle('show'); go(at); }
  else if (e.key === 'n') { body.classList.toggle('quiet'); go(at); }
  else if (e.key === 'f') document.documentElement.requestFullscreen();
  else if (e.key === 'Escape') { body.classList.remove('show'); go(at); }
  else if (turns[e.key] && body.classList.contains('show')) { e.preventDefault(); go(turns[e.key]()); }
});
// a sheet of paper has one width, whatever the window had
const sheet = { width: 940, height: 420, 'font.size': 12 };
window.addEventListener('beforeprint', () => plots().forEach((p) => Plotly.relayout(p, sheet)));
window.addEventListener('afterprint', () => {
  plots().forEach((p) => Plotly.relayout(p, { width: null, height: null, autosize: true })); go(at); });
go(0);
"""
PLOT = {"displaylogo": False, "responsive": True}


def export_story(workspace: Workspace, story: Story, out: Path, progress: Progress = silent) -> dict[str, Any]:
    """Write a story as one HTML file; what the command `story export` answers.

    Returns:
        story; path, which is also called out; bytes; views, a name for each slide; slides, their number; and missing,
        a list of {slide, why} of what could not be shown.

    Raises:
        ConfigError: `out` is a folder.
        MissingFileError: `out` lies in a folder that does not exist.
        ResourceError: as `story_page`; nothing is written.
    """
    if out.is_dir():
        raise ConfigError(
            f"{out} is a folder, and a story is one file", hint=f"give the file a name: --out {out / story.name}.html"
        )
    if not out.parent.is_dir():
        raise MissingFileError(f"the folder {out.parent} does not exist", hint="make it first, or choose another")
    page, shown = story_page(workspace, story, progress)
    partial = out.with_name(f".partial-{uuid.uuid4().hex[:8]}-{out.name}")
    try:
        partial.write_text(page, encoding="utf-8")
        os.replace(partial, out)
    finally:
        partial.unlink(missing_ok=True)
    missing = [{"slide": number, "why": one.missing} for number, one in enumerate(shown, start=1) if one.missing]
    return {
        "story": story.name,
        "path": str(out),
        "out": str(out),
        "bytes": len(page.encode()),
        "views": [slide.view for slide in story.slides],
        "slides": len(shown),
        "missing": missing,
    }


def story_page(workspace: Workspace, story: Story, progress: Progress = silent) -> tuple[str, list[Shown]]:
    """A story as one HTML page, and its slides as they are shown there.

    Raises:
        ResourceError: it would be larger than `MOST_BYTES`; the message names the largest slide.
    """
    stage, shown = Stage(workspace), []
    for number, slide in enumerate(story.slides):
        progress(number, len(story.slides), f"drawing {slide.view}")
        shown.append(stage.show(slide))
    told: set[str] = set()
    parts = [section(number, one, len(shown), told) for number, one in enumerate(shown, start=1)]
    page = (
        f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{html.escape(story.title)}</title><style>{STYLE}</style>{plotly_for(shown)}"
        f"<body><main>{header(story, shown)}{''.join(parts)}{glossary(told)}</main>"
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
    return page, shown


def plotly_for(shown: list[Shown]) -> str:
    """Plotly's script, which is most of the page; none where no slide has a figure."""
    if all(one.figure is None for one in shown):
        return ""
    return f"<script>window.PlotlyConfig = {{MathJaxConfig: 'local'}};{get_plotlyjs()}</script>"


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


def section(number: int, one: Shown, of: int, told: set[str]) -> str:
    """One slide of `of`; a term is explained where it first stands."""
    slide = one.slide
    body = [f"<section><h2 tabindex=-1>{html.escape(slide.caption or slide.view)}</h2>"]
    if one.missing:
        body.append(f"<p class=missing>{html.escape(one.missing)}</p>")
    if one.words:
        body.append(f"<p>{explained(one.words, told)}</p>")
    if one.figure is not None:
        drawn = one.figure.to_html(full_html=False, include_plotlyjs=False, config=PLOT, default_height=f"{HEIGHT}px")
        body.append(f"<div class=picture role=figure aria-label='{html.escape(one.words, quote=True)}'>{drawn}</div>")
    if slide.note:
        body.append(f"<p class=note>{explained(slide.note, told)}</p>")
    for one_said in slide.comments:
        head = f"{html.escape(one_said.name)}, {html.escape(one_said.time[:16].replace('T', ' '))}"
        body.append(f"<p class=said><b>{head}:</b> {html.escape(one_said.text)}</p>")
    return "".join(body) + f"<p class=page>{number} / {of}</p></section>"
