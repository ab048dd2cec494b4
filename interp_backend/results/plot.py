"""A result as a still picture, for papers and terminals. The widgets draw for themselves."""

from __future__ import annotations

import itertools

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from .attention import Attention
from .attribution import Attribution
from .effect_map import NO_COUNTERPART, UNCHANGED, EffectMap
from .lens import LogitLens
from .thumbnails import pooled

MOST_TILED = 64  # cells a side of a head
MOST_WRITTEN = 60  # columns; more are drawn without their numbers
_SIGNS = {UNCHANGED: "=", NO_COUNTERPART: "/"}
ORANGE, NEUTRAL, BLUE = "#c8641b", "#f4f5f5", "#1667b7"
COLORS = LinearSegmentedColormap.from_list("corrupt-clean", [ORANGE, NEUTRAL, BLUE])
STRENGTH = LinearSegmentedColormap.from_list("strength", [NEUTRAL, BLUE])


def plot_heatmap(result: EffectMap) -> Figure:
    """Layers upwards (heads within layers, if both), positions, heads or neurons to the right."""
    effects = result.normalized if np.isfinite(result.normalized).any() else result.values
    grid, rows = _as_grid(result, effects)
    state, _ = _as_grid(result, result.state)
    columns = _visible(result.labels[result.axes[-1]])
    written = len(columns) <= MOST_WRITTEN
    width = 1.6 + 0.55 * len(columns) if written else 18
    # made without pyplot, so that no window system is needed and nothing stays in its registry
    figure = Figure(figsize=(width, 1.2 + 0.3 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    # Neurons and single entries do little each: their own largest effect is then the end of the scale.
    least = 1.0 if result.axes[-1] in ("position", "head") else 1e-6
    reach = max(least, float(np.nanmax(np.abs(grid), initial=0)))
    image = axes.imshow(grid, origin="lower", aspect="auto", cmap=COLORS, vmin=-reach, vmax=reach)
    for row, column in np.ndindex(grid.shape) if written else ():
        text = _SIGNS.get(int(state[row, column])) or _number(float(grid[row, column]))
        dark = abs(grid[row, column]) > 0.6 * reach
        axes.text(column, row, text, ha="center", va="center", fontsize=7, color="white" if dark else "black")
    if written:
        axes.set_xticks(range(len(columns)), columns, fontsize=7, fontfamily="monospace")
        if sum(map(len, columns)) > 9 * len(columns):
            axes.tick_params(axis="x", labelrotation=45)
    axes.set_xlabel(result.axes[-1], fontsize=8)
    axes.set_yticks(range(len(rows)), rows, fontsize=7)
    axes.set_ylabel(".".join(result.axes[:-1]), fontsize=8)
    axes.set_title(_title(result), fontsize=9, loc="left")
    figure.colorbar(image, ax=axes).ax.tick_params(labelsize=7)
    return figure


def _as_grid(result: EffectMap, values: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Values as [row, column], with the rows' labels."""
    labels = [_visible(result.labels[axis]) for axis in result.axes[:-1]]
    rows = [".".join(names) for names in itertools.product(*labels)]
    return values.reshape(-1, values.shape[-1]), rows


def _title(result: EffectMap) -> str:
    denoise = result.params.get("direction") == "denoise"
    value = result.params.get("value", {}).get("kind", "other")
    into = "clean into corrupt" if denoise else "corrupt into clean"
    if value != "other":
        into = f"{value} in the {'corrupt' if denoise else 'clean'} run"
    many = f", mean of {result.pairs.done} pairs" if result.pairs is not None else ""
    return f"{result.params.get('activation', result.method)}, {into}, {result.metric_label}{many}"


def _number(value: float) -> str:
    # adding zero turns the -0.0 of a rounded tiny number into 0.0
    return "" if np.isnan(value) else f"{round(value, 2) + 0.0:.2f}".replace("-", "\u2212")


def _visible(tokens: list[str]) -> list[str]:
    # "$" would start mathematics in matplotlib
    return [token.replace(" ", "\u2423").replace("\n", "\u23ce").replace("$", r"\$") for token in tokens]


def plot_lens(lens: LogitLens) -> Figure:
    """The likeliest token of every cell, coloured by its probability: a panel for each prompt, layers upwards."""
    widest = max(len(side.ids) for side in lens.sides.values())
    size = (1.6 + 0.75 * min(widest, MOST_WRITTEN), (0.9 + 0.3 * len(lens.labels)) * len(lens.sides))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(lens.sides), 1, squeeze=False)[:, 0]
    for axes, (name, side) in zip(panels, lens.sides.items()):
        arrays = lens.of(name)
        probs = arrays.top_probs[..., 0]
        image = axes.imshow(probs, origin="lower", aspect="auto", cmap=STRENGTH, vmin=0, vmax=1)
        written = probs.shape[1] <= MOST_WRITTEN
        for row, column in np.ndindex(probs.shape) if written else ():
            [text] = _visible([lens.tokens[int(arrays.top_ids[row, column, 0])]])
            color = "white" if probs[row, column] > 0.6 else "black"
            axes.text(column, row, text[:9], ha="center", va="center", fontsize=6, color=color, fontfamily="monospace")
        if written:
            axes.set_xticks(range(len(side.tokens)), _visible(side.tokens), fontsize=7, fontfamily="monospace")
        axes.set_yticks(range(len(lens.labels)), lens.labels, fontsize=7)
        axes.set_title("" if name == "prompt" else name, fontsize=9, loc="left")
        figure.colorbar(image, ax=axes, label="probability").ax.tick_params(labelsize=7)
    return figure


def plot_attribution(attribution: Attribution) -> Figure:
    """The twenty components that add or take most, largest at the top: a panel for each prompt."""
    figure = Figure(figsize=(5 * len(attribution.sides), 5), layout="constrained")
    panels = figure.subplots(1, len(attribution.sides), squeeze=False)[0]
    labels = np.array(attribution.labels, object)
    for axes, (name, side) in zip(panels, attribution.sides.items()):
        largest = np.argsort(-np.abs(side.values), kind="stable")[:20][::-1]
        values = side.values[largest]
        axes.barh(range(len(largest)), values, color=[BLUE if value > 0 else ORANGE for value in values])
        axes.set_yticks(range(len(largest)), labels[largest], fontsize=7)
        axes.axvline(0, color="#888", linewidth=0.8)
        what = f"{attribution.quantity} {side.total:+.2f}".replace("-", "\u2212")
        axes.set_title(what if name == "prompt" else f"{name}: {what}", fontsize=9, loc="left")
    return figure


def plot_attention(attention: Attention) -> Figure:
    """Every head's values as one picture of tiles: layers upwards, heads to the right; of a pair the clean prompt's."""
    rows, columns = len(attention.layers), len(attention.heads)
    size = min(attention.values.shape[-1], MOST_TILED)
    edges = np.arange(size) * attention.values.shape[-1] // size
    step = size + max(1, size // 10)  # a tile, and the gap after it
    tiles = np.full((rows * step, columns * step), np.nan, np.float32)
    for row, column in np.ndindex(rows, columns):
        top, left = (rows - 1 - row) * step, column * step
        tile = pooled(attention.values[row, column], edges, attention.signed)
        tiles[top : top + size, left : left + size] = tile
    reach = float(np.fmax.reduce(np.abs(tiles), axis=None, initial=0)) or 1.0
    figure = Figure(figsize=(1.4 + 0.7 * columns, 0.8 + 0.7 * rows), layout="constrained")
    axes = figure.add_subplot()
    colors, low = (COLORS, -reach) if attention.signed else (STRENGTH, 0)
    image = axes.imshow(tiles, cmap=colors, vmin=low, vmax=reach, interpolation="nearest")
    middle = size / 2 - 0.5
    axes.set_xticks([column * step + middle for column in range(columns)], list(map(str, attention.heads)), fontsize=7)
    axes.set_yticks(
        [row * step + middle for row in range(rows)], list(map(str, reversed(attention.layers))), fontsize=7
    )
    axes.set_xlabel("head", fontsize=8)
    axes.set_ylabel("layer", fontsize=8)
    axes.set_title("clean" if "clean" in attention.sides else "", fontsize=9, loc="left")
    figure.colorbar(image, ax=axes, label=attention.quantity).ax.tick_params(labelsize=7)
    return figure
