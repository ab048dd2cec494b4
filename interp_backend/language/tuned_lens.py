"""The tuned lens: for each layer, a learned affine map from its residual stream into the last layer's basis.

Belrose et al. 2023 (arXiv:2303.08112). A lens is a directory in the format of the authors' `tuned-lens` package:
`config.json`, and `params.pt` with `i.weight` [d_model, d_model] and `i.bias` [d_model] for layer i. They are applied
to the input h of the layer: h + weight @ h + bias.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .loading import PRETRAINED, load_model
from .model import LanguageModel

LENS_TYPE = "linear_tuned_lens"


@dataclass(frozen=True, eq=False)
class TunedLens:
    """A translator for the input of each layer.

    Attributes:
        weights: [layer, d_model, d_model].
        biases: [layer, d_model].
        unembed_hash: the hash of the unembedding that the lens was trained for.
        name: the name of the model that the lens was trained for.
        loss: the mean over layers of KL(final || lens) in the last step of training, in nats; None for a loaded lens.
    """

    weights: Tensor
    biases: Tensor
    unembed_hash: str
    name: str
    loss: float | None = None

    @staticmethod
    def load(directory: str | Path) -> TunedLens:
        """Read a directory in the tuned-lens format. Only weights are read, so no code in the file can run.

        Raises:
            ValueError: a file is missing or damaged, or holds another kind of lens.
        """
        directory = Path(directory)
        try:
            config = json.loads((directory / "config.json").read_text("utf-8"))
            state = torch.load(directory / "params.pt", map_location="cpu", weights_only=True)
        except FileNotFoundError as problem:
            raise ValueError(f"{directory} is not a tuned lens: there is no {Path(problem.filename).name}.") from None
        except Exception as problem:  # a damaged file can make its reader raise any error
            raise ValueError(f"The tuned lens in {directory} can't be read: {_first_line(problem)}") from None
        if not isinstance(config, dict) or config.get("lens_type", LENS_TYPE) != LENS_TYPE:
            raise ValueError(f"{directory} is not a lens of the type {LENS_TYPE}, the only supported type.")
        sizes = [config.get(key) for key in ("num_hidden_layers", "d_model")]
        n_layers, d_model = (size if isinstance(size, int) else 0 for size in sizes)
        plausible = n_layers if isinstance(state, dict) and n_layers <= len(state) else 0
        expected = {f"{i}.{part}" for i in range(plausible) for part in _SHAPES}
        if not expected or not isinstance(state, dict) or set(state) != expected:
            raise ValueError(
                f"The tuned lens in {directory} is damaged: params.pt does not have a weight and a bias for each of "
                f"the {n_layers} layers that config.json names."
            )
        for name, value in state.items():
            shape = (d_model,) * _SHAPES[name.partition(".")[2]]
            if not _is_plain(value, shape):
                raise ValueError(f"The tuned lens in {directory} is damaged: {name} is not {shape} finite numbers.")
        weights, biases = (
            torch.stack([state[f"{i}.{part}"].float() for i in range(n_layers)]) for part in ("weight", "bias")
        )
        return TunedLens(weights, biases, str(config.get("unembed_hash")), str(config.get("base_model_name_or_path")))

    def save(self, directory: str | Path) -> Path:
        """Write the lens in the tuned-lens format."""
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        n_layers, d_model = self.biases.shape
        config = {
            "base_model_name_or_path": self.name,
            "d_model": d_model,
            "num_hidden_layers": n_layers,
            "bias": True,
            "base_model_revision": None,
            "unembed_hash": self.unembed_hash,
            "lens_type": LENS_TYPE,
        }
        state = {}
        for i in range(n_layers):
            state[f"{i}.weight"], state[f"{i}.bias"] = self.weights[i].clone(), self.biases[i].clone()
        torch.save(state, directory / "params.pt")
        (directory / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        return directory

    def refuse_other(self, model: LanguageModel, stream: str) -> None:
        """Raise ValueError if this lens was not trained for the model, or can't read the stream."""
        n_layers, d_model = self.biases.shape
        if stream not in ("resid_pre", "resid_post"):
            raise ValueError(f"The tuned lens reads resid_pre or resid_post, on which it was trained, not {stream}.")
        if model.weights != "as trained":
            raise ValueError(
                "The tuned lens was trained on the model as it is, and this one's LayerNorm is folded into its weights "
                "(and they are centred), so its residual stream differs. Load the model without folding."
            )
        if d_model != model.d_model or n_layers != model.n_layers:
            raise ValueError(
                f"This lens is for a model of {n_layers} layers, {d_model} wide, and this one has {model.n_layers} "
                f"layers, {model.d_model} wide. Load the lens of this model."
            )
        if self.unembed_hash != unembed_hash(model):
            raise ValueError(
                f"This lens was trained for another model ({self.name}): the hash of its unembedding differs from this "
                "one's. Load the lens of this model, or train one: train_tuned_lens(model, texts)."
            )

    def translate(self, row: int, vectors: Tensor) -> Tensor:
        """Translate vectors [..., d_model] of a row into the last layer's basis; the model's output stays unchanged."""
        if row >= len(self.weights):
            return vectors
        weight, bias = (part[row].to(vectors.device, vectors.dtype) for part in (self.weights, self.biases))
        return vectors + torch.nn.functional.linear(vectors, weight, bias)


_SHAPES = {"weight": 2, "bias": 1}  # the number of axes of each part


def embedded_lens(model: Any) -> TunedLens | None:
    """The lens that comes with the embedded model; None for any other model."""
    model = load_model(model)
    directory = PRETRAINED / "tuned_lens"
    if not (directory / "config.json").is_file():
        return None
    lens = TunedLens.load(directory)
    try:
        lens.refuse_other(model, "resid_post")
    except ValueError:
        return None
    return lens


def unembed_hash(model: LanguageModel) -> str:
    """The tuned-lens package's hash of an unembedding, from its first and last entries rounded to one digit."""
    weight = model.raw.W_U.detach().T.float().cpu().numpy()
    with np.printoptions(
        edgeitems=3, threshold=1000, linewidth=75, suppress=False, floatmode="maxprec", sign="-", legacy=False
    ):
        text = np.array_str(weight, precision=1)
    return hashlib.sha256(text.encode()).hexdigest()


def _is_plain(value: Any, shape: tuple[int, ...]) -> bool:
    """Whether a value is a dense CPU tensor of this shape whose entries are finite in float32."""
    plain = type(value) is Tensor and value.layout == torch.strided and value.device.type == "cpu"
    return plain and value.is_floating_point() and value.shape == shape and bool(value.float().isfinite().all())


def _first_line(problem: Exception) -> str:
    return (str(problem).splitlines() or [type(problem).__name__])[0]
