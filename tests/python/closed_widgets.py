"""Makes a widget of each kind, closes and deletes it, and says what of it is still alive. It runs in a kernel too."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

import hookscope as hs
import interp_backend as ib
from hookscope.circuitsvis.tokens import colored_tokens

PAIR = ib.PromptPair(
    clean="The capital of Norway is",
    corrupt="The capital of Sweden is",
    clean_answer=" Oslo",
    corrupt_answer=" Stockholm",
)


def heatmap_on_an_editor(model: ib.LanguageModel) -> Any:
    editor = hs.PromptPairEditor(model, PAIR)
    heatmap = hs.PatchHeatmap(model, editor)
    assert editor.wait(60) and heatmap.wait(60)
    editor.close()
    return heatmap


KINDS: dict[str, Callable[[ib.LanguageModel], Any]] = {
    "PromptPairEditor": lambda model: hs.PromptPairEditor(model, PAIR),
    "PatchHeatmap": lambda model: hs.PatchHeatmap(model, PAIR),
    "PatchHeatmap on an editor": heatmap_on_an_editor,
    "LogitLensGrid": lambda model: hs.LogitLensGrid(model, PAIR),
    "AttentionViewer": lambda model: hs.AttentionViewer(model, PAIR),
    "CircuitGraph": lambda model: hs.CircuitGraph(model, PAIR),
    "colored_tokens": lambda model: colored_tokens(["a", "b"], np.array([1.0, 2.0])),
}


def alive_after_close(kind: str, show: Callable[[Any], None] = lambda widget: None) -> list[str]:
    """What is still alive of a widget that was made, shown, closed and deleted: `widget`, `model`, both or nothing."""
    model = ib.load_model(device="cpu")  # a model of its own: the embedded model itself is kept for the next call
    widget = KINDS[kind](model)
    show(widget)
    if hasattr(widget, "wait"):
        assert widget.wait(60)
    widget.close()
    remains = {"widget": weakref.ref(widget), "model": weakref.ref(model.raw)}
    del widget, model
    for _ in range(10):  # the worker thread may be just about to let go of its last job
        gc.collect()
        if all(remaining() is None for remaining in remains.values()):
            break
    return [name for name, remaining in remains.items() if remaining() is not None]
