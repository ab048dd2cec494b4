"""Reports: views, results and text in one page that opens anywhere, and reading such a page again."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import traitlets

from interp_backend.results.attention import AttentionPatterns
from interp_backend.results.attribution_graph import AttributionGraph
from interp_backend.results.effect_map import EffectMap
from interp_backend.results.envelope import BaseResult
from interp_backend.results.files import kind_of, write_whole
from interp_backend.results.graph import Graph
from interp_backend.results.lens import LogitLens
from interp_backend.results.read import result_from_wire

from .attention_viewer import AttentionViewer
from .circuit_graph import CircuitGraph
from .feature_graph import FeatureGraph
from .logit_lens_grid import LogitLensGrid
from .markdown import MARKDOWN
from .page import Html, Part, SavedPart, View, escaped, read_page, titled, visible
from .panel import Panel
from .patch_heatmap import PatchHeatmap
from .subject import ResultPanel

PANELS: dict[type[BaseResult], Any] = {
    EffectMap: PatchHeatmap,
    LogitLens: LogitLensGrid,
    AttentionPatterns: AttentionViewer,
    Graph: CircuitGraph,
    AttributionGraph: FeatureGraph,
}
GROUP = "page"  # in which the views of a report pin together


class Report:
    """Views, results and text, one below the other, in one page that opens offline, with hovering and pinning.

    A place that is pinned in one of its views is pinned in the others. Each view says how its numbers were made: the
    model and its weights, versions, prompts, and the Python code.

    Args:
        parts: views, results (shown by the view of their kind, or as a picture or text), and text in Markdown, in which
            HTML is shown as text and pictures are left out.
        title: the heading.

    Raises:
        ValueError: a part that is none of these.
    """

    def __init__(self, parts: Sequence[Panel | BaseResult | str], title: str = "Report"):
        self.title = str(title)
        if not isinstance(parts, (list, tuple)):
            raise ValueError(f"A report has a list of parts, not one {type(parts).__name__}.")
        self.parts = list(parts)
        for part in self.parts:
            if not isinstance(part, (Panel, BaseResult, str)):
                raise ValueError(f"A report has views, results and text in Markdown, not {type(part).__name__}.")

    def save(self, path: str | Path) -> Path:
        """Write the report as one HTML file. Waits for the views' results.

        Args:
            path: ends with `.html`.

        Raises:
            ValueError: another kind of file; or a view has no result, and says why.
        """
        path = Path(path)
        kind_of(path, ("html", "htm"))
        write_whole(path, self.html().encode("utf-8", "replace"))
        return path

    def html(self) -> str:
        """The report as the text of an HTML file. Waits for the views' results.

        Raises:
            ValueError: as `save`.
        """
        now = datetime.datetime.now().astimezone().replace(microsecond=0)
        made: list[Panel] = []  # views that this report alone shows
        parts: list[Part] = []
        for part in self.parts:
            if isinstance(part, str):
                parts.append(Html(f'<div class="hs-prose">{MARKDOWN.render(visible(part))}</div>'))
                continue
            if isinstance(part, BaseResult):
                panel = _panel_of(part)
                if panel is None:
                    figure = f'<section class="hs-prose">{part._as_html()}{_made(part, now)}</section>'
                    parts.append(Html(figure, [part]))
                    continue
                made.append(panel)
            else:
                panel = part
            parts.append(_view(panel, now))
        try:
            return titled(parts, self.title)
        finally:
            for panel in made:
                panel.close()


def load_report(path: str | Path) -> list[BaseResult]:
    """The results in a page that a report or a view saved, in the order of the page.

    Args:
        path: the file. Nothing in it is run.

    Returns:
        Results as their methods returned them, but for attention of many numbers: more than 3 million are rounded to a
        thousandth of the largest in each row, as `warnings` of the result say, and a result of more than 6 million is
        left out.

    Raises:
        ValueError: the file is no such page, or a result in it can't be read.
    """
    try:
        text = Path(path).read_text("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{Path(path).name} is no page that Hookscope saved: it is not text.") from None
    return [result for part in read_page(text) for result in _results(part)]


def _results(part: SavedPart) -> Iterator[BaseResult]:
    state = part.state or {}
    for value in [state.get("result"), *(value for name, value in state.items() if name != "result"), *part.results]:
        if (
            isinstance(value, dict)
            and {"schema_version", "method"} <= set(value)
            and value.get("complete") is not False
        ):
            yield result_from_wire(value)


def _panel_of(result: BaseResult) -> Panel | None:
    """A view of a result; None for a result that no view shows."""
    kind = next((panel for family, panel in PANELS.items() if isinstance(result, family)), None)
    try:
        return None if kind is None else kind(result=result)
    except (ValueError, traitlets.TraitError):
        return None


def _view(panel: Panel, now: datetime.datetime) -> View:
    panel.wait()
    if not isinstance(panel, ResultPanel):
        return View(panel, group=GROUP)
    result: Any = getattr(panel, "result", None)
    if result is None:
        error: Any = panel.error or {"message": "it was never run."}
        raise ValueError(f"This {type(panel).__name__} has no result to report: {error['message']}")
    return View(panel, after=_made(result, now, panel.code), results=panel.further_results(), group=GROUP)


def _made(result: BaseResult, now: datetime.datetime, code: str = "") -> str:
    """How a result was made, folded away."""
    said = result.provenance
    model = said.get("model") or {}
    versions = ", ".join(f"{name} {version}" for name, version in (said.get("versions") or {}).items() if version)
    facts = {
        "method": getattr(result, "method", ""),
        "model": ", ".join(f"{name} {_plain(value)}" for name, value in model.items() if value is not None),
        "versions": versions,
        "computed": " · ".join(filter(None, [result.provenance_line(), said.get("made", "")])),
        "warnings": " ".join(result.every_warning()),
        "arguments": json.dumps(result.params, ensure_ascii=False)[:20_000],
        "saved": now.isoformat(),
    }
    rows = "".join(f"<dt>{name}</dt><dd>{escaped(str(fact))}</dd>" for name, fact in facts.items() if fact)
    source = f'<pre tabindex="0">{escaped(code)}</pre>' if code else ""
    return f'<details class="hs-made"><summary>How this was made</summary><dl>{rows}</dl>{source}</details>'


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
