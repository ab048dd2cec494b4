"""A marimo notebook with the widgets, which test_marimo.py opens."""

import marimo

app = marimo.App(width="full")


@app.cell
def _():
    import marimo as mo

    import hookscope as hs

    model = hs.load_model()
    pair = hs.PromptPair(
        clean="The capital of Norway is",
        corrupt="The capital of Sweden is",
        clean_answer=" Oslo",
        corrupt_answer=" Stockholm",
    )
    return hs, mo, model, pair


@app.cell
def _(hs, mo, model, pair):
    view = hs.PatchHeatmap(model, pair)
    heatmap = mo.ui.anywidget(view)
    heatmap
    return heatmap, view


@app.cell
def _(heatmap, mo):
    mo.md(f"pinned: {heatmap.selection}")
    return


@app.cell
def _(hs, model, pair):
    def broken(logits):
        raise ValueError("this metric is broken on purpose")

    hs.PatchHeatmap(model, pair, metric=broken)
    return


@app.cell
def _(hs, model, pair, view):
    # Of the view itself: a cell that uses `heatmap` runs again whenever something changes in it.
    lens = hs.LogitLensGrid(model, pair)
    hs.link(view, lens)
    lens
    return


@app.cell
def _(hs, model, pair):
    hs.Workbench(model, pair)
    return


if __name__ == "__main__":
    app.run()
