"""Train transcoders on your own texts, for small models: per layer (Dunefsky et al. 2024, arXiv:2406.11944), or across
layers (Ameisen et al. 2025, transformer-circuits.pub/2025/attribution-graphs/methods.html)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from ..common.method import method
from ..common.signatures import Count, OneOf
from ..engine.transcoded import read_places
from ..engine.turn import Turn
from ..engine.watch import check, current
from ..language.loading import load_model
from ..language.model import LanguageModel
from ..language.transcoders import Activation, Coder, Matrix, Target, Transcoders
from ..results.step import Step, remaining
from .train_tuned_lens import prompts_of
from .transcoder_fit import fit_on

READING = {
    "mlp_in": ("mlp_in", "what the MLP reads, after its norm"),
    "resid_mid": ("resid_mid", "the residual stream between attention and MLP, before the MLP's norm"),
}
ACTIVATIONS = {
    "jumprelu": ("JumpReLU", "as many features as there are reasons, above one threshold for each layer"),
    "topk": ("TopK", "the same number of features at every position"),
}
POSITIONS_A_STEP = 1024
NUMBERS_KEPT = 2**27  # of recorded activations: half a gigabyte
PASSES = 4  # over what is recorded, before the next texts are run
LEARNING_RATE, WARMUP, DECAY = 3e-3, 0.02, 0.5
DEAD_AFTER = 100  # steps in which a feature is never active
AUXILIARY = 1 / 32  # the weight of what dead features say about the error (Gao et al. 2024, arXiv:2406.04093)
HELD_OUT, MOST_HELD_OUT = 20, 50  # one text in 20, and at most 50
MOST_PARAMETERS = 400_000_000
PROMPTS_AT_ONCE = 64
START = 0.06  # the length of what a feature reads at first: if longer, the many that are active write too much
NOISE = 0.1  # of what each feature starts from


@method
def train_transcoders(
    model: Any,
    texts: Sequence[str],
    *,
    features: Annotated[int, Count("how many features each layer gets")],
    active: Annotated[int, Count("how many features are active at a position, on average")] = 16,
    activation: Annotated[str, OneOf(ACTIVATIONS, "activation")] = "jumprelu",
    reads: Annotated[str, OneOf(READING, "input of transcoders")] = "mlp_in",
    layers: Sequence[int] | None = None,
    cross_layer: bool = False,
    steps: Annotated[int, Count("how many steps to train")] = 2000,
    seed: int = 0,
    progress: bool = True,
) -> Iterator[Step[Transcoders]]:
    """Train a transcoder for each layer: sparse features that give the MLP's output from its input.

    Args:
        model: a model that `load_model` returns or accepts; its weights must not be folded.
        texts: texts like those that the transcoders will be used on. The first of every 20, and at most 50, are held
            out to measure how well they fit; of fewer than 20 texts, none.
        features: how many features each layer gets.
        active: how many features are active at a position: on average, or at each with "topk".
        activation: "jumprelu" trains as BatchTopK does, which shares the active features out over the positions of a
            step, and keeps the threshold that this comes to (Bussmann et al. 2024, arXiv:2412.06410); "topk" keeps the
            largest of each position (Gao et al. 2024, arXiv:2406.04093).
        reads: "mlp_in", what the MLP itself reads, or "resid_mid", the residual stream before the MLP's norm.
        layers: the layers to train for; by default all.
        cross_layer: let the features of a layer write into the MLP outputs of all later ones of these layers too, and
            train them all for the sum of what each layer's output misses. All decoders are in memory at once: twelve
            layers have 78 instead of 12.
        steps: how many steps to train; each step sees 1,024 positions.
        seed: the seed for the first features and the order of the positions.
        progress: show a progress bar. An interrupt ends the training early and keeps the transcoders so far.

    Returns:
        `Transcoders` with `fit`. Every step of `.steps` has them as trained so far, and they go on being trained until
        the steps end; `fit` comes with the last one.

    Raises:
        ValueError: there are no texts, a layer has no MLP, or the model is folded or too large; with `cross_layer`,
            also a single layer.
    """
    model = load_model(model)
    prompts = prompts_of(model, texts)
    apart = min(len(prompts) // HELD_OUT, MOST_HELD_OUT)
    training = _Training(model, prompts[apart:], features, active, activation, reads, layers, cross_layer, steps, seed)
    began = time.perf_counter()
    streams = current().seconds is not None  # then the caller shows the progress and handles interrupts
    with (
        Turn(model) as turn,
        tqdm(total=steps, desc="transcoders", unit="step", disable=streams or not progress) as bar,
    ):
        for done in range(1, steps + 1):
            try:
                missed = training.step(turn)
            except KeyboardInterrupt:
                if streams or done == 1:
                    raise
                return
            bar.set_postfix_str(f"{1 - missed:.1%} explained", refresh=False)
            bar.update()
            if done < steps:
                yield Step(done, steps, remaining(time.perf_counter() - began, done, steps), training.result())
        result = training.result()
        yield Step(steps, steps, 0.0, result.with_fit(fit_on(turn, result, prompts[: apart or MOST_HELD_OUT])))


class _Training:
    """The features of all layers, their optimizer, and recorded activations to draw from.

    There is a decoder for each pair of a layer that has features and a layer that they write into.
    """

    def __init__(
        self,
        model: LanguageModel,
        prompts: list[list[int]],
        features: int,
        active: int,
        activation: str,
        reads: str,
        layers: Sequence[int] | None,
        cross_layer: bool,
        steps: int,
        seed: int,
    ):
        self.layers = _layers(model, reads, layers)
        own = range(len(self.layers))
        self.pairs = [(i, j) for i in own for j in own if (i <= j if cross_layer else i == j)]
        self.model, self.prompts, self.steps, self.done = model, prompts, steps, 0
        self.kind, self.reads, self.active = activation, reads, min(active, features)
        self.shape = (len(self.layers), features, model.d_model)
        if cross_layer and len(self.layers) == 1:
            raise ValueError(
                f"Cross-layer transcoders write from layer to layer, and layer {self.layers[0]} is the only one. Ask "
                "for two layers or more, or leave cross_layer out."
            )
        if (len(self.layers) + len(self.pairs)) * features * model.d_model > MOST_PARAMETERS:
            raise ValueError(_too_many(features, model.d_model, len(self.layers), len(self.pairs)))
        self.generator = torch.Generator().manual_seed(seed)
        self.unread: list[list[int]] = []
        self.order = torch.empty(0, dtype=torch.int64)  # the recorded positions that were not drawn yet
        self.x = self.y = torch.empty(0)  # what is read and written, [position, layer, d_model]
        self.passes = 0
        self.complete = False  # whether all texts are recorded

    def step(self, turn: Turn) -> float:
        """Make one step of the optimizer. Returns the share of the variance that is missed, mean over layers."""
        with torch.inference_mode(False):  # nothing can be trained in inference mode
            x, y = self._drawn(turn)
            if self.done == 0:
                self._begin()
            missed = turn.run(lambda: self._optimise(x, y))
        self.done += 1
        return missed

    # Activations

    def _drawn(self, turn: Turn) -> tuple[Tensor, Tensor]:
        """What is read and written at positions that were not drawn lately, both [layer, position, d_model]."""
        if len(self.order) < POSITIONS_A_STEP:
            if self.passes % PASSES == 0 and not self.complete:
                self._record(turn)
            self.passes += 1
            self.order = torch.randperm(len(self.x), generator=self.generator)
        chosen, self.order = self.order[:POSITIONS_A_STEP], self.order[POSITIONS_A_STEP:]
        return self.x[chosen].transpose(0, 1), self.y[chosen].transpose(0, 1)

    def _record(self, turn: Turn) -> None:
        """Run the next texts, as many as may be kept."""
        everything = not self.unread
        if everything:
            order = torch.randperm(len(self.prompts), generator=self.generator).tolist()
            self.unread = [self.prompts[i] for i in order]
        found, numbers = [], 0
        while self.unread and numbers < NUMBERS_KEPT:
            some, self.unread = self.unread[:PROMPTS_AT_ONCE], self.unread[PROMPTS_AT_ONCE:]
            for inputs, outputs in read_places(turn, some, self.reads, self.layers, "mlp_out", self.layers):
                found.append([torch.stack([part[layer] for layer in self.layers], 1) for part in (inputs, outputs)])
                numbers += 2 * found[-1][0].numel()
        self.x, self.y = (torch.cat(parts).clone() for parts in zip(*found))
        self.complete = everything and not self.unread

    # Training

    def _begin(self) -> None:
        """Start each feature at a random position: it reads what is read there, and writes what is written there."""
        n_layers, features, width = self.shape
        self.x_mean, self.y_mean = self.x.mean(0)[:, None], self.y.mean(0)[:, None]
        self.x_size, self.y_size = (
            (part - mean.transpose(0, 1)).pow(2).mean((0, 2)).sqrt().clamp(min=1e-6)[:, None, None]
            for part, mean in ((self.x, self.x_mean), (self.y, self.y_mean))
        )
        self.source, self.target = torch.tensor(self.pairs).to(self.x.device).T
        drawn = torch.randint(len(self.x), (n_layers, features), generator=self.generator)
        encoder, decoder = (
            (part[drawn[of], at[:, None]] - mean[at]) / size[at]
            + NOISE * torch.randn(len(at), features, width, generator=self.generator).to(part)
            for part, mean, size, of, at in (
                (self.x, self.x_mean, self.x_size, torch.arange(n_layers), torch.arange(n_layers)),
                (self.y, self.y_mean, self.y_size, self.source.cpu(), self.target.cpu()),
            )
        )
        self.encoder = (START * encoder / encoder.norm(dim=-1, keepdim=True)).requires_grad_()
        self.decoder = self._unit(decoder).requires_grad_()
        self.bias = torch.zeros(n_layers, features).to(self.x).requires_grad_()
        self.end = torch.zeros(n_layers, 1, width).to(self.x).requires_grad_()
        self.parameters = [self.encoder, self.decoder, self.bias, self.end]
        self.optimizer = torch.optim.Adam(self.parameters, lr=LEARNING_RATE, betas=(0.9, 0.99))
        self.idle = torch.zeros(n_layers, features).to(self.x)  # for how many steps each feature has not been active
        self.threshold = torch.zeros(n_layers).to(self.x)

    def _optimise(self, x: Tensor, y: Tensor) -> float:
        check()
        x, y = (x - self.x_mean) / self.x_size, (y - self.y_mean) / self.y_size
        for group in self.optimizer.param_groups:
            group["lr"] = LEARNING_RATE * min((self.done + 1) / (WARMUP * self.steps), 1, self._left())
        with torch.enable_grad():
            pre = torch.baddbmm(self.bias[:, None], x, self.encoder.transpose(1, 2))
            act = self._activations(pre)
            error = y - self.end - self._written(act)
            missed = error.pow(2).mean((1, 2))
            loss = missed + self._auxiliary(pre, error.detach())
            gradients = torch.autograd.grad(loss.sum(), self.parameters)
        for parameter, gradient in zip(self.parameters, gradients):
            parameter.grad = gradient
        self.optimizer.step()
        with torch.no_grad():
            self.decoder.copy_(self._unit(self.decoder))
            ever = (act > 0).any(1)
            self.idle = torch.where(ever, 0.0, self.idle + 1)
        return float(missed.detach().mean())

    def _left(self) -> float:
        """The factor of the learning rate in the last part of the training, in which it falls to zero."""
        return (1 - self.done / self.steps) / DECAY

    def _unit(self, decoder: Tensor) -> Tensor:
        """Decoders [pair, feature, d_model] with a length of 1 for all that a feature writes."""
        squares = torch.zeros(self.shape[:2]).to(decoder).index_add(0, self.source, decoder.pow(2).sum(-1))
        return decoder / squares.sqrt().clamp(min=1e-6)[self.source][..., None]

    def _written(self, act: Tensor) -> Tensor:
        """What active features [layer, position, feature] write into each layer, [layer, position, d_model]."""
        into: list[list[Tensor]] = [[] for _ in self.layers]
        for (source, target), decoder in zip(self.pairs, self.decoder.unbind()):
            into[target].append(act[source] @ decoder)
        return torch.stack([torch.stack(parts).sum(0) for parts in into])

    def _activations(self, pre: Tensor) -> Tensor:
        positive = pre.relu()
        if self.kind == "topk":
            values, which = positive.topk(self.active, dim=-1)
            return torch.zeros_like(positive).scatter(-1, which, values)
        with torch.no_grad():  # an eighth of the positions says well enough which threshold gives the number asked for
            some = positive[:, ::8]
            least = some.flatten(1).topk(self.active * some.shape[1]).values[:, -1].clamp(min=1e-6)
            self.threshold = least if self.done == 0 else torch.lerp(self.threshold, least, 0.1)
        return positive * (positive >= least[:, None, None])

    def _auxiliary(self, pre: Tensor, error: Tensor) -> Tensor | float:
        """How badly the dead features explain the error: the only gradient that they get."""
        dead = self.idle > DEAD_AFTER
        if not dead.any():
            return 0.0
        values, which = pre.masked_fill(~dead[:, None], -torch.inf).topk(min(2 * self.active, pre.shape[-1]), dim=-1)
        values = values.masked_fill(values == -torch.inf, 0.0)
        guess = self._written(torch.zeros_like(pre).scatter(-1, which, values))
        return AUXILIARY * (error - guess).pow(2).mean((1, 2))

    # The result

    def result(self) -> Transcoders:
        """The transcoders as they are now. They share the memory of what is trained."""
        coders, ends = {}, {}
        decoder = dict(zip(self.pairs, self.decoder.detach()))
        for i, layer in enumerate(self.layers):
            encoder = Matrix.of(self.encoder[i].detach(), f"layer {layer}")
            to = {
                at: Matrix.of(decoder[i, j], f"layer {layer}") for j, at in enumerate(self.layers) if (i, j) in decoder
            }
            scale = (1 / self.x_size[i, 0]).expand(self.model.d_model)
            out = self.y_size[i, 0].expand(self.model.d_model)
            shift = -self.x_mean[i, 0] * scale
            coders[layer] = Coder(encoder, self.bias[i].detach(), to, self._kind(i), scale, shift)
            ends[layer] = Target((self.end[i, 0] * out + self.y_mean[i, 0]).detach(), None, out)
        return Transcoders(
            name=f"{'cross-layer ' if len(self.pairs) > len(self.layers) else ''}transcoders of {self.model.name}",
            layout="trained",
            d_model=self.model.d_model,
            reads=self.reads,
            writes="mlp_out",
            coders=coders,
            ends=ends,
            model_name=self.model.name,
            model_hash=self.model.weights_hash,
        )

    def _kind(self, i: int) -> Activation:
        if self.kind == "topk":
            return Activation("topk", k=self.active)
        return Activation("jumprelu", self.threshold[i].expand(self.shape[1]))


def _layers(model: LanguageModel, reads: str, layers: Sequence[int] | None) -> list[int]:
    """The layers to train for.

    Raises:
        ValueError: the model can't be trained on, or lacks a layer or its MLP.
    """
    if model.weights != "as trained":
        raise ValueError("Transcoders are trained on a model with its weights as trained; this one's are folded.")
    if any(weight.is_inference() for weight in model.raw.parameters()):
        raise ValueError(
            "This model was made under torch.inference_mode(), so nothing can be trained on it. Load it outside of "
            "inference mode."
        )
    have = model.layers_with("mlp_out")
    chosen = have if layers is None else sorted(set(layers))
    if not chosen or not set(chosen) <= set(have):
        raise ValueError(
            f"Transcoders are trained for layers with an MLP, {have or 'of which there is none'}, not {layers!r}."
        )
    for layer in chosen:
        if reads == "resid_mid" and (why := model.why_lacking("resid_mid", layer)):
            raise ValueError(why)
    return chosen


def _too_many(features: int, width: int, layers: int, decoders: int) -> str:
    """The sentence about features that do not fit, with how many would."""
    fit = MOST_PARAMETERS // ((layers + decoders) * width)
    across = f", which write into each other with {decoders} decoders in memory at once" if decoders > layers else ""
    return (
        f"{features:,} features for {layers} layers, {width} wide{across}, are too many to train here. Ask for "
        f"{fit:,} features at most, or for some layers at a time."
    )
