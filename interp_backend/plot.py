"""A result as a still picture, for papers and terminals. The widgets draw for themselves."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from .results import UNCHANGED, Result

ORANGE, NEUTRAL, BLUE = "#c8641b", "#f4f5f5", "#1667b7"
COLORS = LinearSegmentedColormap.from_list("corrupt-clean", [ORANGE, NEUTRAL, BLUE])


def plot_heatmap(result: Result) -> Figure:
    """Layers upwards (heads within layers, if both), positions or heads to the right."""
    grid, rows = _as_grid(result, result.normalized)
    state, _ = _as_grid(result, result.state)
    columns = _visible(result.labels[_column_axis(result)])
    # made without pyplot, so that no window system is needed and nothing stays in its registry
    figure = Figure(figsize=(1.6 + 0.55 * len(columns), 1.2 + 0.3 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    reach = max(1.0, float(np.nanmax(np.abs(grid), initial=0)))
    image = axes.imshow(grid, origin="lower", aspect="auto", cmap=COLORS, vmin=-reach, vmax=reach)
    for row, column in np.ndindex(grid.shape):
        text = "=" if state[row, column] == UNCHANGED else _number(float(grid[row, column]))
        dark = abs(grid[row, column]) > 0.6 * reach
        axes.text(column, row, text, ha="center", va="center", fontsize=7, color="white" if dark else "black")
    axes.set_xticks(range(len(columns)), columns, fontsize=7, fontfamily="monospace")
    if sum(map(len, columns)) > 9 * len(columns):
        axes.tick_params(axis="x", labelrotation=45)
    axes.set_yticks(range(len(rows)), rows, fontsize=7)
    axes.set_ylabel("layer" if "head" not in result.axes or len(result.axes) == 2 else "layer.head", fontsize=8)
    axes.set_title(_title(result), fontsize=9, loc="left")
    figure.colorbar(image, ax=axes).ax.tick_params(labelsize=7)
    return figure


def _column_axis(result: Result) -> str:
    return "position" if "position" in result.axes else result.axes[-1]


def _as_grid(result: Result, values: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Values as [row, column], with the rows' labels."""
    if len(result.axes) == 2:
        return values, result.labels[result.axes[0]]
    grid = values.reshape(-1, values.shape[-1])
    first, second = (result.labels[axis] for axis in result.axes[:2])
    return grid, [f"{a}.{b}" for a in first for b in second]


def _title(result: Result) -> str:
    into = {"denoise": "clean into corrupt", "noise": "corrupt into clean"}.get(result.params.get("direction", ""), "")
    return f"{result.params.get('activation')}, {into}, {result.metric_label}"


def _number(value: float) -> str:
    # adding zero turns the -0.0 of a rounded tiny number into 0.0
    return "" if np.isnan(value) else f"{round(value, 2) + 0.0:.2f}".replace("-", "\u2212")


def _visible(tokens: list[str]) -> list[str]:
    # "$" would start mathematics in matplotlib
    return [token.replace(" ", "\u2423").replace("\n", "\u23ce").replace("$", r"\$") for token in tokens]
