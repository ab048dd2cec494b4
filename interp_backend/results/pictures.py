"""Still pictures, for papers and terminals, from plain arrays and texts. The widgets draw for themselves."""

from __future__ import annotations

import io
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from PIL import Image

from .envelope import shortened
from .thumbnails import pooled

MOST_TILED = 64  # cells along a side of a head's tile
MOST_WRITTEN = 60  # columns; wider pictures are drawn without their numbers
MOST_WRITTEN_CELLS = 4000
BAR = 0.2  # half of the width of a head, where heads are 1 apart
LONGEST_LABEL = 30  # characters
ORANGE, NEUTRAL, BLUE = "#c8641b", "#f4f5f5", "#1667b7"
COLORS = LinearSegmentedColormap.from_list("corrupt-clean", [ORANGE, NEUTRAL, BLUE])
STRENGTH = LinearSegmentedColormap.from_list("strength", [NEUTRAL, BLUE])
SHOWN_DPI, DRAWN_DPI = 80, 160  # pixels an inch on the page, and in the file, for screens that are twice as fine


class Picture(Figure):
    """A matplotlib figure that draws itself in a notebook.

    It is made without pyplot, so that no window system is needed and nothing stays in pyplot's registry.
    """

    def __init__(self, width: float, height: float, colors: int | None = None):
        """
        Args:
            colors: how many colours the PNG file has in a notebook. Many thin lines have thousands, and a file with 128
                of them is a quarter as large. None is all of them.
        """
        super().__init__(figsize=(width, height), layout="constrained")
        self._colors = colors

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        """The PNG file, and its size on the page."""
        stream = io.BytesIO()
        self.savefig(stream, format="png", dpi=DRAWN_DPI)
        if self._colors is not None:
            drawn = Image.open(stream).convert("RGB").quantize(self._colors)
            stream = io.BytesIO()
            drawn.save(stream, format="png", optimize=True)
        width, height = self.get_size_inches()
        return stream.getvalue(), {"width": round(width * SHOWN_DPI), "height": round(height * SHOWN_DPI)}


def heatmap(
    values: np.ndarray,
    *,
    signs: np.ndarray,
    axes: Sequence[str],
    labels: Sequence[Sequence[str]],
    title: str,
    reach: float,
) -> Picture:
    """Values with a sign, the first axes upwards (heads within layers, if both) and the last axis to the right.

    Args:
        values: [*axes].
        signs: what is written in a cell instead of its number, where it is not empty, [*axes].
        axes, labels: the name of each axis, and a text for each of its indices.
        reach: the least end of the colour scale; it is as long as the largest value.
    """
    rows = [visible(".".join(names)) for names in itertools.product(*labels[:-1])]
    grid, columns = values.reshape(-1, values.shape[-1]), list(map(visible, labels[-1]))
    signs = signs.reshape(grid.shape)
    named, turned = len(columns) <= MOST_WRITTEN, sum(map(len, columns)) > 9 * len(columns)
    turned_length = 0.06 * max(map(len, columns)) if named and turned else 0.0  # inches, to the left and below
    row_length = 0.06 * max(0, max(map(len, rows)) - 8)  # inches, of names that are longer than layers and heads
    width = turned_length + row_length + 1.6 + 0.55 * len(columns) if named else 18
    figure = Picture(width, turned_length + 1.2 + 0.3 * len(rows))
    plane = figure.add_subplot()
    reach = max(reach, float(np.nanmax(np.abs(grid), initial=0)))
    image = plane.imshow(grid, origin="lower", aspect="auto", cmap=COLORS, vmin=-reach, vmax=reach)
    for row, column in np.ndindex(grid.shape) if named and grid.size <= MOST_WRITTEN_CELLS else ():
        text = str(signs[row, column]) or _number(float(grid[row, column]))
        color = "white" if abs(grid[row, column]) > 0.6 * reach else "black"
        plane.text(column, row, text, ha="center", va="center", fontsize=7, color=color)
    if named:
        plane.set_xticks(range(len(columns)), columns, fontsize=7, fontfamily="monospace")
        if turned:
            plane.tick_params(axis="x", labelrotation=45)
    plane.set_xlabel(axes[-1], fontsize=8)
    plane.set_yticks(range(len(rows)), rows, fontsize=7)
    plane.set_ylabel(".".join(axes[:-1]), fontsize=8)
    plane.set_title("\n".join(map(plain, title.splitlines())), fontsize=9, loc="left")
    figure.colorbar(image, ax=plane).ax.tick_params(labelsize=7)
    return figure


@dataclass(frozen=True)
class WordPanel:
    """A word and a share from 0 to 1 in each cell, [row, column]."""

    title: str
    words: Sequence[Sequence[str]]
    shares: np.ndarray
    columns: Sequence[str]


def word_panels(panels: Sequence[WordPanel], rows: Sequence[str]) -> Picture:
    """Panels one below the other, rows upwards, each cell coloured by its share."""
    widest = max(len(panel.columns) for panel in panels)
    figure = Picture(1.6 + 0.75 * min(widest, MOST_WRITTEN), (0.9 + 0.3 * len(rows)) * len(panels))
    for plane, panel in zip(figure.subplots(len(panels), 1, squeeze=False)[:, 0], panels):
        shares = panel.shares
        image = plane.imshow(shares, origin="lower", aspect="auto", cmap=STRENGTH, vmin=0, vmax=1)
        written = shares.shape[1] <= MOST_WRITTEN
        for row, column in np.ndindex(shares.shape) if written else ():
            word = visible(panel.words[int(row)][int(column)][:9])
            color = "white" if shares[row, column] > 0.6 else "black"
            plane.text(column, row, word, ha="center", va="center", fontsize=6, color=color, fontfamily="monospace")
        if written:
            plane.set_xticks(
                range(len(panel.columns)), list(map(visible, panel.columns)), fontsize=7, fontfamily="monospace"
            )
        plane.set_yticks(range(len(rows)), list(map(plain, rows)), fontsize=7)
        plane.set_title(panel.title, fontsize=9, loc="left")
        figure.colorbar(image, ax=plane, label="probability").ax.tick_params(labelsize=7)
    return figure


@dataclass(frozen=True)
class BarPanel:
    """A bar for each label, and the ends of its interval if there are intervals."""

    title: str
    labels: Sequence[str]
    values: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None


def bar_panels(panels: Sequence[BarPanel]) -> Picture:
    """Horizontal bars, the first label at the top; panels side by side."""
    figure = Picture(5 * len(panels), 5)
    for plane, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels):
        values, labels = panel.values[::-1], [plain(label, LONGEST_LABEL) for label in panel.labels[::-1]]
        plane.barh(range(len(values)), values, color=[BLUE if value > 0 else ORANGE for value in values])
        if panel.low is not None and panel.high is not None:
            plane.hlines(range(len(values)), panel.low[::-1], panel.high[::-1], color="#444", linewidth=1.5)
        plane.set_yticks(range(len(values)), labels, fontsize=7)
        plane.axvline(0, color="#888", linewidth=0.8)
        plane.set_title(plain(panel.title), fontsize=9, loc="left")
    return figure


def curves(
    across: Sequence[float],
    values: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    names: Sequence[str],
    *,
    title: str,
    label: str,
) -> Picture:
    """Lines over a logarithmic axis, each with a band.

    Args:
        across: where the values are on that axis.
        values, low, high: [line, place].
        label: what the axis is.
    """
    figure = Picture(6.4, 4.0)
    plane = figure.add_subplot()
    for line, name in enumerate(names):
        [drawn] = plane.plot(across, values[line], marker="o", markersize=3, linewidth=1, label=plain(name))
        if np.isfinite(low[line]).any():
            plane.fill_between(across, low[line], high[line], color=drawn.get_color(), alpha=0.15, linewidth=0)
    plane.axhline(0, color="gray", linewidth=0.5)
    plane.axhline(1, color="gray", linewidth=0.5)
    plane.set_xscale("log")
    plane.set_xlabel(label, fontsize=8)
    plane.tick_params(labelsize=7)
    plane.legend(fontsize=7)
    plane.set_title(plain(title), fontsize=9, loc="left")
    return figure


def circuit(
    nodes: np.ndarray,
    inside: np.ndarray,
    wide: np.ndarray,
    edges: np.ndarray,
    scores: np.ndarray,
    *,
    layers: int,
    heads: int,
    title: str,
) -> Picture:
    """Nodes and edges of a model: the input below, a row for each layer, the logits above; heads, then MLPs, across.

    Args:
        nodes: where each is, [node, 2], in rows and columns: row 0 is the input, 1 the first layer.
        inside: which nodes are in the circuit.
        wide: which are drawn as a bar, for edges that end at its left, middle or right.
        edges: where each begins and ends, [edge, 2, 2].
        scores: of the edges; the widest line is the largest of either sign.
        layers, heads: how many there are.
    """
    figure = Picture(min(18.0, max(6.0, 2.0 + 0.45 * (heads + 1))), min(24.0, 1.2 + 0.5 * (layers + 2)), colors=128)
    plane = figure.add_subplot()
    sizes = np.abs(scores)
    order = np.argsort(sizes, kind="stable")  # the largest are drawn last, above the others
    widths = 0.3 + 2.7 * sizes / (sizes.max(initial=0) or 1.0)
    colors = [BLUE if score > 0 else ORANGE for score in scores[order]]
    plane.add_collection(LineCollection([*edges[order]], linewidths=widths[order], colors=colors, alpha=0.75, zorder=1))
    plane.scatter(*nodes[~inside].T, s=6, color="#bbb", zorder=2)
    plane.scatter(*nodes[inside & ~wide].T, s=22, color="#333", zorder=3)
    x, y = nodes[inside & wide].T
    plane.hlines(y, x - BAR, x + BAR, colors="#333", linewidths=4, zorder=3)
    every = max(1, heads // 16)
    plane.set_xticks([*range(0, heads, every), heads + 0.5], [*map(str, range(0, heads, every)), "MLP"], fontsize=7)
    rows = max(1, layers // 48)
    numbered = range(0, layers, rows)
    plane.set_yticks(
        [0, *(layer + 1 for layer in numbered), layers + 1], ["input", *map(str, numbered), "logits"], fontsize=7
    )
    plane.set_xlim(-0.7, heads + 1.2)
    plane.set_ylim(-0.5, layers + 1.6)
    plane.set_xlabel("head", fontsize=8)
    plane.set_ylabel("layer", fontsize=8)
    plane.set_title(plain(title), fontsize=9, loc="left")
    return figure


def tiles(
    values: np.ndarray, rows: Sequence[int], columns: Sequence[int], signed: bool, quantity: str, title: str
) -> Picture:
    """A square of values for each row and column, [row, column, y, x], rows upwards.

    Args:
        rows, columns: the numbers of layers and heads.
        signed: whether values can be negative.
        quantity: what a value is.
    """
    size = min(values.shape[-1], MOST_TILED)
    edges = np.arange(size) * values.shape[-1] // size
    step = size + max(1, size // 10)  # a tile and the gap after it
    drawn = np.full((len(rows) * step, len(columns) * step), np.nan, np.float32)
    for row, column in np.ndindex(len(rows), len(columns)):
        top, left = (len(rows) - 1 - row) * step, column * step
        drawn[top : top + size, left : left + size] = pooled(values[row, column], edges, signed)
    reach = float(np.fmax.reduce(np.abs(drawn), axis=None, initial=0)) or 1.0
    figure = Picture(1.4 + 0.7 * len(columns), 0.8 + 0.7 * len(rows))
    plane = figure.add_subplot()
    colors, low = (COLORS, -reach) if signed else (STRENGTH, 0)
    image = plane.imshow(drawn, cmap=colors, vmin=low, vmax=reach, interpolation="nearest")
    _tick(plane, "x", [str(number) for number in columns], step, size)
    _tick(plane, "y", [str(number) for number in reversed(rows)], step, size)
    plane.set_xlabel("head", fontsize=8)
    plane.set_ylabel("layer", fontsize=8)
    plane.set_title(title, fontsize=9, loc="left")
    figure.colorbar(image, ax=plane, label=quantity).ax.tick_params(labelsize=7)
    return figure


def _tick(plane: Any, axis: str, labels: list[str], step: int, size: int) -> None:
    """A label in the middle of each tile."""
    middles = [at * step + size / 2 - 0.5 for at in range(len(labels))]
    getattr(plane, f"set_{axis}ticks")(middles, labels, fontsize=7)


def _number(value: float) -> str:
    # Adding zero turns the -0.0 of a rounded tiny number into 0.0.
    return "" if np.isnan(value) else f"{round(value, 2) + 0.0:.2f}".replace("-", "\u2212")


def plain(text: str, most: int = 120) -> str:
    """A text on one line that is not too long, without mathematics, which "$" would begin in matplotlib."""
    return shortened(text, most).replace("$", r"\$")


def visible(token: str) -> str:
    """A token whose spaces and line breaks can be seen."""
    return plain(token.replace(" ", "\u2423").replace("\n", "\u23ce"), LONGEST_LABEL)


def attribution_graph(
    nodes: np.ndarray,
    kinds: np.ndarray,
    edges: np.ndarray,
    weights: np.ndarray,
    *,
    tokens: Sequence[str],
    layers: int,
    title: str,
) -> Picture:
    """Nodes of an attribution graph: tokens across, the inputs below, a row for each layer, the logits above.

    Args:
        nodes: where each is, [node, 2], in tokens and rows: row 0 is the inputs, 1 the first layer.
        kinds: 0 for features (circles), 1 for errors (crosses), others are squares.
        edges: where each begins and ends, [edge, 2, 2].
        weights: of the edges; the widest line is the largest of either sign.
    """
    figure = Picture(min(18.0, max(5.0, 1.5 + 0.8 * len(tokens))), min(16.0, 1.6 + 0.5 * (layers + 2)), colors=128)
    plane = figure.add_subplot()
    sizes = np.abs(weights)
    order = np.argsort(sizes, kind="stable")
    widths = 0.3 + 2.2 * sizes / (sizes.max(initial=0) or 1.0)
    colors = [BLUE if weight > 0 else ORANGE for weight in weights[order]]
    plane.add_collection(LineCollection([*edges[order]], linewidths=widths[order], colors=colors, alpha=0.5, zorder=1))
    for which, marker in ((kinds == 0, "o"), (kinds == 1, "x"), (kinds > 1, "s")):
        plane.scatter(*nodes[which].T, s=16, marker=marker, color="#333", linewidths=0.8, zorder=2)
    plane.set_xticks(range(len(tokens)), [visible(token) for token in tokens], fontsize=7, rotation=30, ha="right")
    numbered = range(0, layers, max(1, layers // 24))
    plane.set_yticks(
        [0, *(at + 1 for at in numbered), layers + 1], ["inputs", *map(str, numbered), "logits"], fontsize=7
    )
    plane.set_xlim(-0.6, len(tokens) - 0.4)
    plane.set_ylim(-0.5, layers + 1.5)
    plane.set_ylabel("layer", fontsize=8)
    plane.set_title(plain(title), fontsize=9, loc="left")
    return figure
