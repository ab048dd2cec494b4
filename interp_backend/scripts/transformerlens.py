"""A result as a script that makes its numbers again with TransformerLens alone: no line of this package is in it."""

from __future__ import annotations

from typing import Any

from ..common.method import Call
from ..language.loading import load_model
from ..results.envelope import shortened
from . import heads, patching, paths, reading  # noqa: F401  (their writers register themselves)
from .parts import WRITERS, Lines, Printed, tidy


def transformerlens_code(result: Any, model: Any = None) -> str:
    """Print a call as a Python script that imports torch, NumPy and TransformerLens, and nothing of this package.

    The script loads the model, makes tokens, runs a plain loop with hooks, and ends with `values`, in the shape of the
    result's own: `values` of an `EffectMap`, an `Attribution` or `AttentionPatterns`, and `scores` of a `Graph`. Of a
    `LogitLens` and of `HeadScores` it is a dict of their arrays by name, and of a table one of its columns. Where a
    result has the arrays of two prompts, `values` is a dict by side.

    Args:
        result: what a method returned; or, for methods that return a table, `ib.repeated_token_loss.call(model, ...)`.
        model: the model that it is of. Without one, the script says where to put yours, and takes tokens from the
            result; data sets, and values that are drawn or averaged, need one.

    Raises:
        ValueError: the method, or one of its arguments, has no such form. The sentence says which.
    """
    if isinstance(result, Call):
        model = result.model if model is None else model
        name, params, result = result.method.name, result.method.to_params(result.arguments), None
    else:
        name, params = getattr(result, "method", None), getattr(result, "params", None)
    if not isinstance(name, str) or not isinstance(params, dict):
        raise ValueError(
            f"A {type(result).__name__} does not say which call it is of. For a method that returns a table, give its "
            "call: ib.transformerlens_code(ib.repeated_token_loss.call(model)). Other results say it themselves."
        )
    if name not in WRITERS:
        raise ValueError(
            f"{shortened(name, 40)!r} can't be printed over TransformerLens alone. These methods can be: "
            f"{', '.join(WRITERS)}. Copy its code over interp_backend."
        )
    printed = Printed(name, params, result, None if model is None else load_model(model))
    script = WRITERS[name](printed)
    lines = [
        f"# {name.replace('_', ' ').capitalize()} with TransformerLens alone. `values` are",
        f"# {script.about}.",
        *([*script.imports, ""] if script.imports else []),
        "import numpy as np",
        "import torch",
        *_model_lines(printed),
        f"torch.set_grad_enabled({script.gradients})",
        "",
        *script.body,
        "print(values)",
    ]
    return "\n".join(tidy(lines)) + "\n"


def _model_lines(printed: Printed) -> Lines:
    """The lines that load the model."""
    model = printed.model
    if model is None or model.boot is None:
        said = printed.result.provenance.get("model", {}) if printed.result is not None else {}
        said = said if model is None else model.describe()
        words = [shortened(str(said[name]), 60) for name in ("name", "dtype") if said.get(name)]
        weights = [f"weights {shortened(str(said['weights']), 20)}"] if said.get("weights") else []
        which = f", {', '.join([*words, *weights])!r}" if words or weights else ""
        return ["", f"# model: your own TransformerLens model{which}"]
    folds = ["model.enable_compatibility_mode()  # folds norms into the weights, and centres these"]
    return [*model.boot.split("\n"), *(folds if model.weights == "folded" else [])]
