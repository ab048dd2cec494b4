"""A run with gradients: how much a metric changes per unit of an activation, by one of several backward rules.

A rule leaves the forward run as it is and changes what flows back. It does so in hooks on the model's own modules: each
replaces a value by one that is equal and has another derivative. Nothing of torch is patched, the gradients of
parameters are not computed, and the turn removes the hooks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ..language.model import Hook, LanguageModel
from .frozen_norm import Frozen
from .norm_scales import norms_of
from .own import Own
from .recording import Readout, refuse_nan
from .turn import Turn

T = TypeVar("T")
Score = Callable[[Tensor], Tensor]  # of logits [run, read position, token]: every metric, [metric, run]


@dataclass(frozen=True)
class Rule:
    """What flows back through the parts of a model, where it is not the derivative.

    Attributes:
        label, help: its name in a menu and what it means, in a few words.
        frozen_norms: the scale of a norm is a constant.
        ratio: an activation function is its input times a constant, the ratio of its output to its input.
        half_gates: both factors of a gated MLP get half of the gradient.
        frozen_patterns: attention patterns are constants.
        temperature: the temperature of the attention softmax on the way back.
        query_key, value: factors of the gradients of queries and keys, and of values.
    """

    label: str
    help: str
    frozen_norms: bool = False
    ratio: bool = False
    half_gates: bool = False
    frozen_patterns: bool = False
    temperature: float = 1.0
    query_key: float = 1.0
    value: float = 1.0

    @property
    def about_patterns(self) -> bool:
        """Whether something else than the derivative flows back through attention patterns."""
        return self.frozen_patterns or self.temperature != 1


RULES: dict[str, Rule] = {
    # Attribution patching: Nanda 2023; Kramár et al. 2024, arXiv:2403.00745
    "gradient": Rule("gradient", "the derivative itself"),
    # Jafari et al. 2025, arXiv:2508.21258
    "relp": Rule(
        "RelP",
        "norms frozen, activation functions as a ratio, gated products halved",
        frozen_norms=True,
        ratio=True,
        half_gates=True,
    ),
    "relp_ah": Rule(
        "RelP, attention frozen",
        "RelP with attention patterns as constants",
        frozen_norms=True,
        ratio=True,
        half_gates=True,
        frozen_patterns=True,
    ),
    # Edin et al. 2025, arXiv:2505.17630
    "gim": Rule(
        "GIM",
        "norms frozen, a softer softmax, products shared between their factors",
        frozen_norms=True,
        half_gates=True,
        temperature=2.0,
        query_key=0.25,
        value=0.5,
    ),
}


def gradients(
    turn: Turn,
    tokens: Sequence[int],
    names: Sequence[str],
    read: Sequence[int],
    vocabulary: Sequence[int] | None,
    score: Score,
    rule: str = "gradient",
    start: tuple[str, Tensor] | None = None,
    drop: int | None = None,
) -> list[dict[str, Tensor]]:
    """Run one prompt and differentiate metrics of it by activations.

    Args:
        tokens: the token ids of the prompt.
        names: the hooks whose activations to differentiate by.
        read, vocabulary: the positions and tokens whose logits `score` gets; None is all tokens.
        score: the metrics.
        rule: a key of `RULES`.
        start: a hook and the activation [position, ...] that is written there. Without one the prompt runs as it is.
        drop: a layer through whose attention and MLP nothing flows back, so that its skip connection alone is left
            (GradDrop; Kramár et al. 2024, arXiv:2403.00745).

    Returns:
        For each metric, by hook name, the gradient [position, ...] in float32 or better; of a pattern
        [head, position, source position].

    Raises:
        Cancelled, RuntimeError: as `Turn.run`.
        ValueError: the model can't be differentiated, or not by this rule, or a metric has no gradient.
    """
    alone, model = None if start is None else (start[0], start[1][None]), turn.model
    ends = [] if drop is None else [model.hook_name(name, drop) for name in ("resid_pre", "resid_post")]
    kept = list(dict.fromkeys([*names, *(name for name in ends if name in model.raw.hook_dict)]))

    def of_one(found: list[dict[str, Tensor]], _: Any) -> list[dict[str, Tensor]]:
        if drop is not None and (start is None or start[0] == model.hook_name("embed", 0)):
            _refuse_other_paths(drop, ends, found)
        return [{name: grad[0] for name, grad in grads.items()} for grads in found]

    return differentiated(turn, [tokens], kept, read, vocabulary, score, rule, alone, of_one, drop)


def _refuse_other_paths(layer: int, ends: Sequence[str], found: Sequence[dict[str, Tensor]]) -> None:
    """Raise ValueError if something flows back through a layer beside its skip connection.

    Args:
        ends: the hooks of the residual stream before the layer and after it.
    """
    before, after = ends
    for grads in found:
        known = before in grads and after in grads  # a hook may not be there, or never be called
        if not known or (grads[before] - grads[after]).norm() > 1e-3 * grads[after].norm() + 1e-9:
            raise ValueError(
                f"The gradient through layer {layer} can't be dropped, because not only a skip connection would be "
                "left: there is a norm on the residual stream, or a part that is neither attention nor an MLP. Leave "
                "grad_drop out."
            )


def differentiated(
    turn: Turn,
    prompts: Sequence[Sequence[int]],
    names: Sequence[str],
    read: Sequence[int],
    vocabulary: Sequence[int] | None,
    score: Score,
    rule: str,
    start: tuple[str, Tensor | None] | None,
    then: Callable[[list[dict[str, Tensor]], dict[str, Tensor]], T],
    drop: int | None = None,
) -> T:
    """Run prompts of one length as `gradients` runs one, and make something of their gradients and activations.

    Args:
        start: a hook at which differentiation begins, and the activation [prompt, ...] that is written there or None.
        then: a function of the gradients that `gradients` returns, and of the activations by hook name, each [prompt,
            ...]. It is called in the same pass, with gradients enabled and the model's norms still under the rule.
        drop: as in `gradients`.
    """
    model = turn.model
    refuse_rule(model, rule)
    norms = norms_of(turn, "Use the rule gradient") if RULES[rule].frozen_norms else {}
    lost = RULES[rule].about_patterns and "pattern" in model.dead_hooks
    run = _Run(model, RULES[rule], norms, set(names), start or (model.hook_name("embed", 0), None), drop, lost)
    readout = Readout(model, list(read), vocabulary, everything=bool(turn.users_hooks))

    def pass_() -> T:
        with torch.inference_mode(False), torch.enable_grad():
            found = _differentiate(run, [list(tokens) for tokens in prompts], readout, score)
            return then(found, {name: value.detach() for name, value in run.kept.items()})

    return turn.run(pass_)


def refuse_rule(model: LanguageModel, rule: str) -> None:
    """Raise ValueError if a model can't be differentiated, or not by this rule."""
    if any(weight.is_inference() for weight in model.raw.parameters()):
        raise ValueError(
            "This model was made under torch.inference_mode(), so it has no gradients. Load it outside of inference "
            "mode, or use activation patching."
        )
    chosen = RULES[rule]
    if chosen.about_patterns and (why := model.why_lacking("pattern")):
        raise ValueError(f"The rule {rule} changes what flows back through attention patterns. {why} Or use relp.")
    for layer in _layers_with_mlp(model) if chosen.ratio or chosen.half_gates else ():
        if why := model.absent.get("mlp_post", {}).get(layer):
            raise ValueError(
                f"The rule {rule} needs the neurons of every MLP, and layer {layer} shows none: {why}. Use the rule "
                "gradient."
            )


def _layers_with_mlp(model: LanguageModel) -> list[int]:
    return [layer for layer, block in enumerate(model.raw.blocks) if getattr(block, "mlp", None) is not None]


def _differentiate(run: _Run, ids: list[list[int]], readout: Readout, score: Score) -> list[dict[str, Tensor]]:
    tokens = torch.tensor(ids, device=run.model.device)
    run.add_module_hooks()
    with run.model.raw.hooks(fwd_hooks=run.hooks()):
        readout.add_hook()
        logits = readout.of(run.model.raw(tokens))
    refuse_nan(run.model, logits, tokens)
    values = score(logits).sum(1)  # a prompt's gradient is that of its own metric
    if not values.requires_grad:
        raise ValueError("This metric has no gradient. Choose another one, for example logit_diff or kl.")
    names, at = list(run.kept), list(run.kept.values())
    found = []
    for i, value in enumerate(values):
        grads = torch.autograd.grad(value, at, retain_graph=i + 1 < len(values), allow_unused=True)
        found.append({name: _whole(grad, one) for name, grad, one in zip(names, grads, at)})
    return found


def _whole(grad: Tensor | None, activation: Tensor) -> Tensor:
    """A gradient; zero for an activation that the metric does not depend on."""
    grad = torch.zeros_like(activation) if grad is None else grad
    return (grad if grad.dtype == torch.float64 else grad.float()).detach()


# Equal values with other derivatives


def swapped(value: Tensor, other: Tensor) -> Tensor:
    """The value, with the derivative of another one."""
    return value.detach() + (other - other.detach()).to(value.dtype)


def scaled(value: Tensor, factor: float) -> Tensor:
    """The value, with a factor in its derivative."""
    return value if factor == 1 else swapped(value, factor * value)


def _ratio(above: Tensor, below: Tensor) -> Tensor:
    return torch.where(below != 0, above / below, 0).detach()


class _Run:
    """The hooks of one run, and the activations by which it is differentiated.

    Args:
        norms: every norm of the model as an affine map, for rules that freeze them.
        names: the hooks whose activations are kept.
        start: the hook at which differentiation begins, and the activation that is written there.
        drop: the layer through whose attention and MLP nothing flows back.
        lost: whether edits of attention patterns are, in which case a rule about them has another way.
    """

    def __init__(
        self,
        model: LanguageModel,
        rule: Rule,
        norms: dict[nn.Module, Frozen],
        names: set[str],
        start: tuple[str, Tensor | None],
        drop: int | None,
        lost: bool,
    ):
        self.model, self.rule, self.norms, self.names, self.start = model, rule, norms, names, start
        self.drop, self.lost = drop, lost
        self.kept: dict[str, Tensor] = {}
        self.seen: dict[Any, Tensor] = {}  # what later hooks of the same layer need

    def add_module_hooks(self) -> None:
        self.kept.clear()  # of an attempt that other code's hooks disturbed
        self.seen.clear()
        for module, frozen in self.norms.items():
            # Before the hooks of a norm's output, by which a model with norms after attention shows attn_out.
            module.register_forward_pre_hook(Own(partial(self._enter_norm, module)))
            getattr(module, "hook_out", module).register_forward_hook(Own(partial(self._leave_norm, module, frozen)))

    def hooks(self) -> list[tuple[str, Hook]]:
        """The hooks on hook points."""
        rule, known = self.rule, self.model.raw.hook_dict
        before: dict[str, Callable[[Tensor], Tensor]] = {}
        after: dict[str, Callable[[Tensor], Tensor]] = {}
        for layer in range(self.model.n_layers):
            at = f"blocks.{layer}."
            pre, up, post = (f"{at}mlp.hook_{part}" for part in ("pre", "pre_linear", "post"))
            if rule.ratio and pre in known:
                before |= {name: partial(self._note, name) for name in (pre, up) if name in known}
                before[post] = partial(self._by_ratio, pre, up)
            elif rule.half_gates and up in known:
                before[post] = partial(scaled, factor=0.5)  # as if by half into each factor
            scores, pattern, z = (f"{at}attn.hook_{name}" for name in ("attn_scores", "pattern", "z"))
            if rule.about_patterns and pattern in known:
                before |= {name: partial(self._note, name) for name in (scores, z) if name in known}
                before[pattern] = partial(self._pattern, scores, z, layer)
            factors = {"q": rule.query_key, "k": rule.query_key, "v": rule.value}
            after |= {
                name: partial(scaled, factor=factor)
                for part, factor in factors.items()
                if factor != 1 and (name := f"{at}attn.hook_{part}") in known
            }
        if self.drop is not None:
            after |= {name: Tensor.detach for name in self._written_by(self.drop) if name in known}
        every = {self.start[0], *before, *after, *self.names}
        return [(name, Own(partial(self._act, name, before.get(name), after.get(name)))) for name in every]

    def _written_by(self, layer: int) -> list[str]:
        """What a layer adds to the residual stream."""
        return [self.model.hook_name(name, layer) for name in ("attn_out", "mlp_out")]

    def _act(self, name: str, before: Any, after: Any, value: Tensor, hook: Any) -> Tensor:
        if name == self.start[0]:
            value = self._started(value)
        value = value if before is None else before(value)
        if name in self.names:
            # The residual stream goes past a norm's input: where that is a view of it (OPT), the stream is kept.
            stream = value._base if name.endswith("hook_resid_mid") else None
            # Where attention reads the same tensor as the MLP, the gradient has to be that of the MLP alone.
            value = value.view_as(value) if name.endswith("mlp.hook_in") else value
            self.kept[name] = value if stream is None else stream
        # Always returned: a hook point may show a reshaped view, through which the gradient has to pass.
        return value if after is None else after(value)

    def _started(self, value: Tensor) -> Tensor:
        """Where differentiation begins: the value as a leaf, or the activation that is written in its place."""
        given = self.start[1]
        first = (value if given is None else given.to(value.dtype)).detach().clone().requires_grad_()
        if not self.start[0].endswith("hook_resid_mid"):
            return first
        # A bridge has this hook on the norm's input, and a returned tensor would not reach the residual stream.
        self.kept[self.start[0]] = first
        return value.copy_(first)

    def _enter_norm(self, module: nn.Module, _: Any, args: tuple[Any, ...]) -> None:
        self.seen[module] = args[0]

    def _leave_norm(self, module: nn.Module, frozen: Frozen, _: Any, args: Any, out: Tensor) -> Tensor:
        """A norm's output, with the derivative that it has if its scale is a constant."""
        linear, factor = frozen.taken_apart(self.seen.pop(module), out)
        return swapped(out, linear * factor)

    def _note(self, name: str, value: Tensor) -> Tensor:
        self.seen[name] = value
        return value

    def _by_ratio(self, pre: str, up: str, post: Tensor) -> Tensor:
        """Neurons as their input times a constant; of a gated MLP, half of it by each factor."""
        gate = self.seen.pop(pre)
        by_gate = gate * _ratio(post, gate)
        if up not in self.seen:
            return swapped(post, by_gate)
        linear = self.seen.pop(up)
        return swapped(post, 0.5 * (by_gate + linear * _ratio(post, linear)))

    def _pattern(self, scores: str, z: str, layer: int, pattern: Tensor) -> Tensor:
        """A pattern that is a constant, or whose softmax has another temperature on the way back.

        As in the authors' own code, the derivative then lacks the factor 1/temperature of the chain rule.
        """
        mixed = self.seen.pop(z, None)
        if mixed is not None:  # the values were mixed before the pattern was shown, so another one would come too late
            return self._pattern_of_the_past(pattern, mixed, z, layer)
        if self.lost:
            raise _not_mixed_by(layer)
        if self.rule.frozen_patterns:
            return pattern.detach().requires_grad_()
        return self._softer(self.seen.pop(scores), pattern, layer)

    def _pattern_of_the_past(self, pattern: Tensor, mixed: Tensor, z: str, layer: int) -> Tensor:
        """The same for a pattern by which values were mixed already: its gradient is replaced on the way back."""
        if not pattern.requires_grad or self.start[0] == z:  # differentiation begins above it
            return pattern
        (reached,) = torch.autograd.grad(mixed.sum(), pattern, retain_graph=True, allow_unused=True)
        if reached is None:
            raise _not_mixed_by(layer)
        if self.rule.frozen_patterns:
            pattern.register_hook(torch.zeros_like)
            return pattern
        whole = pattern.detach().to(torch.promote_types(pattern.dtype, torch.float32))
        rounding = 1e-4 if pattern.dtype in (torch.float32, torch.float64) else 2e-2
        if not torch.allclose(whole.sum(-1), torch.ones_like(whole[..., 0]), rtol=0, atol=rounding):
            raise self._no_softmax(layer)
        softer = whole.pow(1 / self.rule.temperature)  # the softmax of scores is known up to a factor of each row
        softer = softer / softer.sum(-1, keepdim=True)

        def through_softer(grad: Tensor) -> Tensor:
            # What the softmax makes of this gradient is what a softer one would have made of the given one.
            by_score = softer * (grad - (softer * grad).sum(-1, keepdim=True))
            return torch.where(whole > 0, by_score / whole, 0).to(grad.dtype)

        pattern.register_hook(through_softer)
        return pattern

    def _softer(self, before: Tensor, pattern: Tensor, layer: int) -> Tensor:
        t = self.rule.temperature
        before = before.to(pattern.dtype) if pattern.dtype == torch.float64 else before.float()
        rounding = 1e-4 if pattern.dtype in (torch.float32, torch.float64) else 2e-2
        if not torch.allclose(before.softmax(-1), pattern.to(before.dtype), rtol=0, atol=rounding):
            raise self._no_softmax(layer)
        return swapped(pattern, t * (before / t).softmax(-1))

    @staticmethod
    def _no_softmax(layer: int) -> ValueError:
        return ValueError(
            f"The attention patterns of layer {layer} are not the softmax of the scores that TransformerLens shows "
            "(there may be attention sinks), so their derivative can't be changed. Use the rule gradient or relp."
        )


def _not_mixed_by(layer: int) -> ValueError:
    return ValueError(
        f"The attention patterns of layer {layer} that TransformerLens shows are not those by which values are mixed, "
        "so their derivative can't be changed. Use the rule gradient or relp."
    )
