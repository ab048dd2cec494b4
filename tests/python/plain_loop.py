"""The slow way, written out: one run of the whole model for each patched run. What the backend is compared with.

Nothing here is shared with interp_backend: hooks, indices and values are spelled out a second time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

HOOKS = {
    "embed": "hook_embed",
    "resid_pre": "blocks.{}.hook_resid_pre",
    "resid_mid": "blocks.{}.hook_resid_mid",
    "resid_post": "blocks.{}.hook_resid_post",
    "attn_out": "blocks.{}.hook_attn_out",
    "mlp_out": "blocks.{}.hook_mlp_out",
    "mlp_post": "blocks.{}.mlp.hook_post",
    "z": "blocks.{}.attn.hook_z",
    "q": "blocks.{}.attn.hook_q",
    "k": "blocks.{}.attn.hook_k",
    "v": "blocks.{}.attn.hook_v",
    "pattern": "blocks.{}.attn.hook_pattern",
}
PER_HEAD = ("z", "q", "k", "v", "pattern")
EVERYTHING = Ellipsis


@dataclass
class Change:
    """`new(old, pick)` gives what is written at each position; `pick(tensor)` is another run's value of that place."""

    activation: str
    layer: int
    new: Callable[[Tensor, Callable[..., Tensor]], Tensor]
    positions: Iterable[int]
    head: Any = EVERYTHING
    entries: Any = EVERYTHING

    def place(self, position: int) -> tuple[Any, ...]:
        if self.activation == "pattern":
            return (self.head, position, self.entries)
        if self.activation in PER_HEAD:
            return (position, self.head)
        return (position, self.entries)

    def hook(self) -> tuple[str, Callable[..., Tensor]]:
        def write(value: Tensor, hook: Any) -> Tensor:
            for position in self.positions:

                def pick(tensor: Tensor, at: int = position) -> Tensor:
                    return tensor[self.place(at)]

                value[0][self.place(position)] = self.new(value[0][self.place(position)], pick)
            return value

        return HOOKS[self.activation].format(self.layer), write


class Run:
    """One prompt on a bridge: its tokens, logits [position, token], and every activation without its batch."""

    def __init__(self, raw: Any, prompt: str):
        self.raw, self.tokens = raw, raw.to_tokens(prompt)
        with torch.no_grad():
            logits, self._cache = raw.run_with_cache(self.tokens)
        self.logits = logits[0]

    def __len__(self) -> int:
        return self.tokens.shape[1]

    def activation(self, activation: str, layer: int) -> Tensor:
        return self._cache[HOOKS[activation].format(layer)][0]

    def changed(self, *changes: Change) -> Tensor:
        """Logits [position, token] of this prompt with all changes made in one run."""
        with torch.no_grad():
            return self.raw.run_with_hooks(self.tokens, fwd_hooks=[change.hook() for change in changes])[0]


def runs_of(raw: Any, pair: Any, direction: str = "denoise") -> tuple[Run, Run]:
    """The run that is patched, and the other."""
    clean, corrupt = Run(raw, pair.clean), Run(raw, pair.corrupt)
    return (corrupt, clean) if direction == "denoise" else (clean, corrupt)


def put_other(other: Run, activation: str, layer: int) -> Callable[..., Tensor]:
    """A change's `new`: what the other run has at the same place."""
    return lambda old, pick: pick(other.activation(activation, layer))


def token(raw: Any, text: str) -> int:
    (one,) = raw.tokenizer(text, add_special_tokens=False)["input_ids"]
    return one


def logit_diff(raw: Any, logits: Tensor, pair: Any) -> float:
    """Of logits [token]."""
    return float(logits[token(raw, pair.clean_answer)] - logits[token(raw, pair.corrupt_answer)])


def loop(
    base: Run,
    other: Run,
    activation: str,
    axes: tuple[str, ...],
    measure: Callable[[Tensor], float],
    heads: Iterable[int] | None = None,
) -> np.ndarray:
    """`measure` of the last position's logits for every cell of a sweep from the other run; of some heads alone."""
    n_layers = 1 if activation == "embed" else base.raw.cfg.n_layers
    shape = base.activation(activation, 0).shape
    n_heads = 0 if activation not in PER_HEAD else shape[0 if activation == "pattern" else 1]
    sizes = {"layer": n_layers, "head": n_heads, "position": len(base), "source": len(base), "neuron": shape[-1]}
    places = {axis: list(range(size)) for axis, size in sizes.items()}
    if heads is not None:
        places["head"] = list(heads)
    values = np.empty([len(places[axis]) for axis in axes])
    for index in np.ndindex(values.shape):
        at = {axis: places[axis][i] for axis, i in zip(axes, index)}
        change = Change(
            activation,
            at["layer"],
            put_other(other, activation, at["layer"]),
            [at["position"]] if "position" in at else range(len(base)),
            at.get("head", EVERYTHING),
            at.get("source", at.get("neuron", EVERYTHING)),
        )
        values[index] = measure(base.changed(change)[-1])
    return values


def assert_close(values: Any, expected: Any, tolerance: float = 1e-4) -> None:
    """Equal in units of the largest expected value, not-a-number where it is expected."""
    expected = np.asarray(expected, dtype=np.float64)
    scale = np.nanmax(np.abs(expected))
    assert scale > 1e-3, "a model in which nothing happens tests nothing"
    np.testing.assert_allclose(values, expected, atol=tolerance * scale, rtol=0)


# A model taken apart: transformers and arithmetic alone, without TransformerLens.

_LLAMA = ("model.layers", "self_attn.o_proj", "mlp.down_proj", "model.norm")
_LAYOUT = {
    "gpt2": ("transformer.h", "attn.c_proj", "mlp.c_proj", "transformer.ln_f"),
    "gpt_neo": ("transformer.h", "attn.attention.out_proj", "mlp.c_proj", "transformer.ln_f"),
    "gpt_neox": ("gpt_neox.layers", "attention.dense", "mlp.dense_4h_to_h", "gpt_neox.final_layer_norm"),
    "gptj": ("transformer.h", "attn.out_proj", "mlp.fc_out", "transformer.ln_f"),
    "opt": ("model.decoder.layers", "self_attn.out_proj", "fc2", "model.decoder.final_layer_norm"),
    "bloom": ("transformer.h", "self_attention.dense", "mlp.dense_4h_to_h", "transformer.ln_f"),
    "phi": ("model.layers", "self_attn.dense", "mlp.fc2", "model.final_layernorm"),
}
_POSITIONS = {
    "gpt2": ("transformer.wpe", 0),
    "gpt_neo": ("transformer.wpe", 0),
    "opt": ("model.decoder.embed_positions", 2),
}
_FUSED = {"gpt2": "attn.c_attn", "gpt_neox": "attention.query_key_value", "bloom": "self_attention.query_key_value"}
_FUSED |= {"phi3": "self_attn.qkv_proj"}


class Plain:
    """One prompt on a plain transformers model: what each part of it writes, in double precision.

    Attributes:
        logits: the model's own, [position, token].
        pre, attn, mlp, post: by layer, [position, d_model].
    """

    def __init__(self, model: Any, architecture: str, ids: list[int]):
        layers, o, down, norm = _LAYOUT.get(architecture, _LLAMA)
        self.model, self.architecture, self.ids = model, architecture, ids
        self.layers, self.norm = list(model.get_submodule(layers)), model.get_submodule(norm)
        self.o = [layer.get_submodule(o) for layer in self.layers]
        self.down = [layer.get_submodule(down) for layer in self.layers]
        fused = _FUSED.get(architecture)
        name = fused or o.rpartition(".")[0] + ".v_proj"
        makers = [layer.get_submodule(name) for layer in self.layers]
        seen: dict[Any, tuple[Tensor, Tensor]] = {}

        def keep(module: Any, args: Any, kwargs: Any, out: Any) -> None:
            into = args[0] if args else kwargs["hidden_states"]
            seen[module] = tuple(
                (x[0] if isinstance(x, tuple) else x).detach().squeeze(0).double() for x in (into, out)
            )

        watched = [*self.layers, *self.o, *self.down, *makers, self.norm]
        posts = [self.post_norms(layer) for layer in range(len(self.layers))]
        watched += [post for pair in posts for post in pair if post is not None]
        handles = [module.register_forward_hook(keep, with_kwargs=True) for module in watched]
        with torch.no_grad():
            out = model(torch.tensor([ids]), output_attentions=True)
        for handle in handles:
            handle.remove()
        self.logits, self.patterns = out.logits[0].double(), [p[0].double() for p in out.attentions]
        self.pre = [seen[layer][0] for layer in self.layers]
        self.last = seen[self.norm][0]
        self.post = [*self.pre[1:], self.last]
        self.z, self.neurons = ([seen[m][0] for m in part] for part in (self.o, self.down))
        self.out = [(seen[o][1], seen[down][1]) for o, down in zip(self.o, self.down)]
        self.attn = [seen[post or o][1] for (post, _), o in zip(posts, self.o)]
        self.mlp = [seen[post or down][1] for (_, post), down in zip(posts, self.down)]
        self.v = [self._values(seen[m][1], fused) for m in makers]
        for layer in range(len(self.layers)):  # nothing else is written
            whole = self.pre[layer] + self.attn[layer] + self.mlp[layer]
            rounding = 1e-5 * max(1.0, float(self.post[layer].abs().max()))  # real models have huge entries
            torch.testing.assert_close(whole, self.post[layer], atol=rounding, rtol=1e-5)

    def _values(self, out: Tensor, fused: str | None) -> Tensor:
        """[position, head, d_head], the same for all heads of a group."""
        heads = self.model.config.num_attention_heads
        d_head = self.z[0].shape[-1] // heads
        if self.architecture in ("gpt_neox", "bloom"):
            return out.view(len(out), heads, 3, d_head)[:, :, 2]
        if self.architecture == "gpt2":
            out = out.chunk(3, dim=-1)[2]
        elif fused:
            out = out[:, -self.model.config.num_key_value_heads * d_head :]
        values = out.view(len(out), -1, d_head)
        return values.repeat_interleave(heads // values.shape[1], dim=1)

    def post_norms(self, layer: int) -> tuple[Any, Any]:
        block = self.layers[layer]
        return (block.post_attention_layernorm, block.post_feedforward_layernorm) if self._doubled else (None, None)

    @property
    def _doubled(self) -> bool:
        return self.architecture == "gemma2"

    def _gain(self, norm: Any) -> Tensor:
        return norm.weight.detach().double() + (1 if self.architecture.startswith("gemma") else 0)

    def normed(self, norm: Any, x: Tensor, at: Tensor | None = None) -> Tensor:
        """x [..., d_model] through a norm, without its bias; with the scale that it has for `at`."""
        at = x if at is None else at
        if isinstance(norm, torch.nn.LayerNorm):
            scale = (at.var(-1, keepdim=True, unbiased=False) + norm.eps).sqrt()
            return (x - x.mean(-1, keepdim=True)) / scale * self._gain(norm)
        epsilon = norm.eps if hasattr(norm, "eps") else norm.variance_epsilon
        return x / (at.pow(2).mean(-1, keepdim=True) + epsilon).sqrt() * self._gain(norm)

    def _unembedding(self, tokens: list[int] | slice = slice(None)) -> tuple[Tensor, Tensor, Tensor]:
        """Matrix [token, d_model] and bias [token] of some tokens, and the final norm's bias [d_model]."""
        head = self.model.get_output_embeddings()
        weight = head.weight.detach()[tokens].double()
        bias, norm_bias = getattr(head, "bias", None), getattr(self.norm, "bias", None)
        return (
            weight,
            torch.zeros(len(weight)).double() if bias is None else bias.detach()[tokens].double(),
            torch.zeros(weight.shape[1]).double() if norm_bias is None else norm_bias.detach().double(),
        )

    def read(self, x: Tensor, capped: bool = True) -> Tensor:
        """Logits of vectors [..., d_model]."""
        weight, bias, norm_bias = self._unembedding()
        logits = (self.normed(self.norm, x) + norm_bias) @ weight.T + bias
        cap = getattr(self.model.config, "final_logit_softcapping", None)
        return cap * (logits / cap).tanh() if cap and capped else logits

    def rows(self, stream: str) -> Tensor:
        """What a lens reads, [row, position, d_model]."""
        n = len(self.layers)
        layers = {
            "resid_pre": lambda: self.pre[1:],
            "resid_post": lambda: self.post[: n - 1],
            "resid_mid": lambda: [a + b for a, b in zip(self.pre, self.attn)],
            "attn_out": lambda: self.attn,
            "mlp_out": lambda: self.mlp,
        }[stream]()
        return torch.stack([self.pre[0], *layers, self.last])

    def difference(self, x: Tensor, position: int, right: list[int], wrong: list[int]) -> Tensor:
        """What vectors [..., d_model] add to the logit difference, the final norm's scale frozen."""
        direction = self._unembedding(right)[0].mean(0) - (self._unembedding(wrong)[0].mean(0) if wrong else 0)
        return self.normed(self.norm, x, self.last[position]) @ direction

    def bias(self, right: list[int], wrong: list[int]) -> float:
        def mean(tokens: list[int]) -> Tensor:
            weight, bias, norm_bias = self._unembedding(tokens)
            return (weight @ norm_bias + bias).mean()

        return float(mean(right) - (mean(wrong) if wrong else 0))

    def parts(self, unit: str, position: int, right: list[int], wrong: list[int]) -> dict[str, float]:
        """Every component's contribution by its label."""

        def of(x: Tensor) -> float:
            return float(self.difference(x, position, right, wrong))

        first, made = self.pre[0][position], {}
        made["embed"] = of(first)
        if self.architecture in _POSITIONS:
            name, offset = _POSITIONS[self.architecture]
            added = self.model.get_submodule(name).weight.detach().double()[position + offset]
            made |= {"embed": of(first - added), "pos_embed": of(added)}
        for layer in range(len(self.layers)):
            attn, mlp = self.attn[layer][position], self.mlp[layer][position]
            if unit == "layer":
                made[f"layer {layer}"] = of(attn + mlp)
                continue
            if unit == "head":
                written, bias = self.written(self.o, self.z, layer, position, 0)
                heads = written.view(self.patterns[layer].shape[0], -1, written.shape[-1]).sum(1)
                made |= {f"head {layer}.{head}": of(x) for head, x in enumerate(heads)}
                made[f"attn bias {layer}"] = of(bias)
            else:
                made[f"attn {layer}"] = of(attn)
            if unit == "neuron":
                written, bias = self.written(self.down, self.neurons, layer, position, 1)
                made |= {f"neuron {layer}.{neuron}": of(x) for neuron, x in enumerate(written)}
                made[f"mlp bias {layer}"] = of(bias)
            else:
                made[f"mlp {layer}"] = of(mlp)
        made["bias"] = self.bias(right, wrong)
        return made

    def written(self, modules: list[Any], entries: list[Tensor], layer: int, position: int, which: int):
        """What each entry writes into the residual stream [entry, d_model], and the bias."""
        module = modules[layer]
        weight = module.weight.detach().double()
        weight = weight if type(module).__name__ == "Conv1D" else weight.T  # [entry, d_model]
        bias = torch.zeros(weight.shape[1]).double() if module.bias is None else module.bias.detach().double()
        written = entries[layer][position][:, None] * weight
        post, at = self.post_norms(layer)[which], self.out[layer][which][position]
        return (written, bias) if post is None else (self.normed(post, written, at), self.normed(post, bias, at))

    def sources(self, position: int, right: list[int], wrong: list[int]) -> np.ndarray:
        """What each head brings from each position, [layer, head, source]."""
        made = []
        for layer, pattern in enumerate(self.patterns):
            n_heads, d_head = self.v[layer].shape[1:]
            for head in range(n_heads):
                at = slice(head * d_head, (head + 1) * d_head)
                for source in range(position + 1):
                    entries = torch.zeros_like(self.z[layer])
                    entries[position, at] = pattern[head, position, source] * self.v[layer][source, head]
                    written, _ = self.written(self.o, [entries] * (layer + 1), layer, position, 0)
                    made.append(float(self.difference(written.sum(0), position, right, wrong)))
        return np.array(made).reshape(len(self.patterns), -1, position + 1)


# The matrices of a model's heads, read off transformers' own modules.


class PlainHeads:
    """The circuits of a plain model's heads between tokens, in double precision: gains of norms folded in, their scales
    and all biases and positions left out."""

    _FIRST_NORMS = ("ln_1", "input_layernorm", "self_attn_layer_norm")

    def __init__(self, model: Any, architecture: str):
        self.plain = Plain(model, architecture, [1, 2, 3])
        self.model, self.architecture = model, architecture
        embedded = model.get_input_embeddings().weight.detach()
        if architecture == "bloom":
            embedded = model.transformer.word_embeddings_layernorm(embedded).detach()
        self.embedded = embedded.double()
        unembedded = model.get_output_embeddings().weight.detach().double()  # [token, d_model]
        self.unembedded = unembedded - unembedded.mean(0)  # what is added to all logits changes nothing
        self.n_heads = model.config.num_attention_heads
        self.d_head = self.plain.v[0].shape[-1]

    def folded(self, norm: Any, x: Tensor) -> Tensor:
        """x through a norm but for its scale and bias."""
        if norm is None:
            return x
        centred = x - x.mean(-1, keepdim=True) if isinstance(norm, torch.nn.LayerNorm) else x
        return centred * self.plain._gain(norm)

    def part(self, layer: int, which: str) -> Tensor:
        """What each head's queries, keys or values ("q", "k", "v") are for each token, [token, head, d_head]."""
        block = self.plain.layers[layer]
        [norm] = [getattr(block, name) for name in self._FIRST_NORMS if hasattr(block, name)]
        rows, fused = self.folded(norm, self.embedded), _FUSED.get(self.architecture)
        prefix = _LAYOUT.get(self.architecture, _LLAMA)[1].rpartition(".")[0]
        module = block.get_submodule(fused or f"{prefix}.{which}_proj")
        weight = module.weight.detach().double()
        out = rows @ (weight if type(module).__name__ == "Conv1D" else weight.T)
        at, heads, d_head = "qkv".index(which), self.n_heads, self.d_head
        if self.architecture in ("gpt_neox", "bloom"):
            return out.view(len(out), heads, 3, d_head)[:, :, at]
        if self.architecture == "gpt2":
            out = out.chunk(3, dim=-1)[at]
        elif fused:
            queries, shared = heads * d_head, self.model.config.num_key_value_heads * d_head
            out = out.split([queries, shared, shared], dim=-1)[at]
        out = out.view(len(out), -1, d_head)
        return out.repeat_interleave(heads // out.shape[1], dim=1)

    def written(self, layer: int, head: int, values: Tensor) -> Tensor:
        """What values [..., d_head] of a head add to the logits, [..., token]."""
        module = self.plain.o[layer]
        weight = module.weight.detach().double()
        weight = weight if type(module).__name__ == "Conv1D" else weight.T  # [entry, d_model]
        wrote = values @ weight[head * self.d_head : (head + 1) * self.d_head]
        after = self.folded(self.plain.post_norms(layer)[0], wrote)
        return self.folded(self.plain.norm, after) @ self.unembedded.T

    def ov(self, layer: int, head: int) -> Tensor:
        """[source token, raised token]."""
        return self.written(layer, head, self.part(layer, "v")[:, head])

    def qk(self, layer: int, head: int) -> Tensor:
        """[destination token, token it looks for]."""
        queries, keys = (self.part(layer, which)[:, head] for which in "qk")
        return queries @ keys.T / self.d_head**0.5

    def copying(self, layer: int, head: int) -> float:
        """The eigenvalue score, of the whole matrix."""
        eigenvalues = torch.linalg.eigvals(self.ov(layer, head))
        return float(eigenvalues.real.sum() / eigenvalues.abs().sum())
