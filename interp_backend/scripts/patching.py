"""Scripts of patched runs: one cell at a time, several places together, and estimates from gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..language.interventions import (
    Add,
    FromOther,
    FromPrompt,
    Intervention,
    Mean,
    Resample,
    Scale,
    Value,
    Zero,
    as_tuple,
    as_value,
    drawn_prompts,
)
from ..language.model import ACTIVATIONS
from ..results.effect_map import COMPUTED, NO_COUNTERPART, UNCHANGED, EffectMap
from .parts import (
    Lines,
    NoForm,
    PairScript,
    Printed,
    Script,
    filled,
    hook_of,
    indented,
    listed,
    numbers,
    tokens_code,
    writes,
)

AXES = ("layer", "head", "position", "source", "neuron")


def reads_other(value: Value) -> bool:
    """Whether a value is the other run's, so that it needs a counterpart."""
    return isinstance(value, FromOther) or (isinstance(value, Add) and value.vector is None)


class Values:
    """The functions that give what is patched in: one for each different value.

    Attributes:
        draws: over how many runs each cell is a mean.
    """

    def __init__(self, pair: PairScript, values: Sequence[Value]):
        self.pair, self.model = pair, pair.printed.model
        self.values = list(dict.fromkeys(values))
        self.draws = max((value.draws for value in self.values if isinstance(value, Resample)), default=1)
        needed = any(
            isinstance(value, FromOther) or value == Add(factor=getattr(value, "factor", 1.0)) for value in self.values
        )
        self.other = needed
        self.own = any(isinstance(value, Add) and value.vector is None for value in self.values)

    def name(self, value: Value) -> str:
        """The name of a value's function."""
        return "new" if len(self.values) == 1 else f"new_{self.values.index(value)}"

    def lines(self) -> Lines:
        """The runs that values come from, and the functions of an activation and of its hook's name."""
        pair, made = self.pair, []
        runs = [("cache", pair.other, self.other), ("own", pair.base, self.own)]
        made += [f"_, {cache} = model.run_with_cache({side})" for cache, side, used in runs if used]
        if self.other and not pair.aligned:
            made.append("there = [0 if other is None else other for other in counterpart]  # 0 stands in for none")
        functions: Lines = []
        for value in self.values:
            setup, about, returns = self._parts(value, self.name(value).removeprefix("new"))
            made += setup
            functions += ["", "", f"def {self.name(value)}(act, name):", f'    """{about}"""', f"    return {returns}"]
        return [*pair.without_gradients(made), *functions[0 if made else 2 :], "", ""]

    def _parts(self, value: Value, suffix: str) -> tuple[Lines, str, str]:
        """The lines that prepare a value, what it is, and the expression of it."""
        pair = self.pair
        there = "cache[name]" if pair.aligned else "cache[name][:, there]"
        if isinstance(value, FromOther):
            return [], f"What the {pair.other} run has there.", there
        if isinstance(value, Zero):
            return [], "Zeros.", "torch.zeros_like(act)"
        if isinstance(value, Scale):
            return [], "The activation times a factor.", f"{value.factor!r} * act"
        if isinstance(value, Add) and value.vector is None:
            about = f"The activation, and the {pair.other} run's difference to it times a factor."
            return [], about, f"act + {value.factor!r} * ({there} - own[name])"
        if isinstance(value, Add):
            vector = f"vector{suffix} = torch.tensor({list(value.vector or ())!r}, device=model.cfg.device)"
            return [vector], "The activation, and a steering vector.", f"act + {value.factor!r} * vector{suffix}"
        if isinstance(value, FromPrompt):
            setup = f"_, third{suffix} = model.run_with_cache({self._tokens(value.text)})"
            return [setup], "What the run of a third prompt has there.", f"third{suffix}[name]"
        if isinstance(value, Resample):
            pair.more[f"drawn{suffix}"] = [self._drawn(value, at) for at in range(len(pair.pairs))]
            setup = f"caches{suffix} = [model.run_with_cache(tokens)[1] for tokens in drawn{suffix}]"
            at = "draw" if self.draws > 1 else "0"
            return (
                [setup],
                f"What the run of a prompt has there that was drawn (seed {value.seed}).",
                f"caches{suffix}[{at}][name]",
            )
        assert isinstance(value, Mean)
        prompts = [f"    {self._tokens(text)}," for text in value.prompts]
        setup = [
            f"data{suffix} = [",
            *prompts,
            "]",
            f"caches{suffix} = [model.run_with_cache(tokens)[1] for tokens in data{suffix}]",
        ]
        if value.by_position:
            about = "The mean over prompts, at each position."
            return setup, about, f"torch.stack([one[name] for one in caches{suffix}]).mean(0)"
        skip = ", 1:" if self._skips(value) else ""
        about = "The mean over all positions of prompts" + (
            " but the first, which is unlike all others." if skip else "."
        )
        part = f"one[name][:{skip}]"
        return setup, about, f"torch.cat([{part} for one in caches{suffix}], 1).mean(1, keepdim=True).expand_as(act)"

    def _skips(self, value: Mean) -> bool:
        model = self.pair.printed.need_model(
            "Whether these prompts begin with a token of their own is not in the result."
        )
        first = {model.to_ids(text, self._prepend_bos)[0] for text in value.prompts}
        if model.bos is not None and len(first) > 1 and model.bos[0] in first:
            raise NoForm(
                self.pair.printed, "some prompts of the mean begin with the beginning-of-text token and some do not."
            )
        return model.bos is not None and first == {model.bos[0]}

    @property
    def _prepend_bos(self) -> bool | None:
        chosen = {one.pair.prepend_bos for one in self.pair.pairs}
        if len(chosen) > 1:
            raise NoForm(self.pair.printed, "the pairs differ in prepend_bos.")
        return chosen.pop()

    def _tokens(self, text: str) -> str:
        """The tokens of a prompt beside the pair's, with the answer that is appended to them."""
        appended = {one.appended for one in self.pair.pairs}
        if len(appended) > 1:
            raise NoForm(self.pair.printed, "whole answers of several pairs are appended to the prompts of a data set.")
        ids = [*self.model.to_ids(text, self._prepend_bos), *next(iter(appended))] if self.model is not None else None
        return tokens_code(text, ids, self.model, self._prepend_bos)[0]

    def _drawn(self, value: Resample, at: int) -> str:
        """The tokens of the prompts that are drawn for a pair."""
        model, run = (
            self.pair.printed.need_model("The prompts that were drawn are not in the result."),
            self.pair.pairs[at],
        )
        ids = {text: [*model.to_ids(text, run.pair.prepend_bos), *run.appended] for text in value.prompts}
        texts = drawn_prompts(value, run.ids[self.pair.base], ids)
        each = [tokens_code(text, ids[text], model, run.pair.prepend_bos)[0] for text in texts]
        return f"[{', '.join(each)}]"


RUN = '''
def patched(changes):
    """Logits of the $base run with some changes: (hook name, index, new value)."""
    hooks = []
    for name, at, new in changes:

        def write(act, hook, name=name, at=at, new=new):  # hook.name is not the same in all models
            act[at] = new(act, name)[at]
            return act

        hooks.append((name, write))
    return model.run_with_hooks($base, fwd_hooks=hooks)


'''

GRADIENTS = '''
names = [name for name in map(HOOK.format, range(model.cfg.n_layers)) if name in model.hook_dict]
acts = {}


def keep(name):
    def hook_at(act, hook):
        acts[name] = act
        return act

    return name, hook_at


logits = model.run_with_hooks($base, fwd_hooks=[keep(name) for name in dict.fromkeys(names)])
base = metric(logits)
gradients = dict(zip(acts, torch.autograd.grad(base, [*acts.values()])))


def effect(name, at):
    """What a patch changes, times the gradient there."""
    act = acts[name].detach()
    return ((new(act, name) - act) * gradients[name])[at].sum().item()


'''


# Sweeps


class Cells:
    """The loops over the cells of a map, and the index of each cell in the activation."""

    def __init__(self, pair: PairScript, activation: str, value: Value, window: int):
        result = pair.printed.result
        self.pair, self.window, self.axes, self.places = pair, window, result.axes, result.places
        self.kind, self.follows = ACTIVATIONS[activation], reads_other(value) and not pair.aligned
        if not set(self.axes) <= set(AXES) or any(axis not in self.places for axis in self.axes):
            raise ValueError("This map has axes that no sweep has. Run the method again.")
        self.sets = any(isinstance(place, list) for place in self.places.get("position", ()))

    def lines(self, cell: str) -> Lines:
        """The loops that fill `values`.

        Args:
            cell: the expression of a cell, in terms of `layer` or `near`, and of `{at}`, its index.
        """
        made: Lines = []
        for axis in self.axes:
            given, plural = self.places[axis], f"{axis}s"
            if axis == "position" and self.sets:
                labels = self.pair.printed.result.labels["position"]
                made.append(f"{plural} = [  # sets of positions, each of which is patched in one run")
                made += [
                    f"    {listed(one if isinstance(one, list) else [one])},  # {label!r}"
                    for one, label in zip(given, labels, strict=True)
                ]
                made.append("]")
            else:
                made.append(f"{plural} = {numbers(given)}")
        if self.follows and "position" not in self.axes:
            made.append("both = [p for p, other in enumerate(counterpart) if other is not None]")
        sizes = ", ".join(f"len({axis}s)" for axis in self.axes)
        made.append(f"values = np.full([{sizes}], np.nan)  # {listed_axes(self.axes)}")
        within: Lines = []
        letters = "ijkm"
        for depth, axis in enumerate(self.axes):
            within += indented([f"for {letters[depth]}, {axis} in enumerate({axis}s):"], 4 * depth)
        inside = [*self._skips(), *self._window()]
        inside.append(f"values[{', '.join(letters[: len(self.axes)])}] = {cell.format(at=self._index())}")
        return [*made, *within, *indented(inside, 4 * len(self.axes))]

    def _skips(self) -> Lines:
        """The cells that a prompt lacks."""
        lines: Lines = []
        if self.pair.mixed:
            base = self.pair.base
            for axis in ("position", "source"):
                if axis in self.axes and not (self.sets and axis == "position"):
                    lines += [f"if {axis} < -{base}.shape[1]:", "    continue  # this prompt is shorter"]
        if self.follows and "position" in self.axes:
            if self.sets:
                lines += ["both = [p for p in position if counterpart[p] is not None]", "if not both:", "    continue"]
            else:
                lines += ["if counterpart[position] is None:", "    continue"]
        return lines

    def _window(self) -> Lines:
        if self.window == 1:
            return []
        first = f"layer - {self.window // 2}"
        return [
            f"near = range({first}, {first} + {self.window})  # the layers that are patched together",
            "near = [HOOK.format(one) for one in near if HOOK.format(one) in model.hook_dict]",
        ]

    def _index(self) -> str:
        position = "position" if "position" in self.axes else ":"
        if self.follows and (self.sets or position == ":"):
            position = "both"
        head, entry = (
            ("head" if "head" in self.axes else ":"),
            next((a for a in ("source", "neuron") if a in self.axes), ":"),
        )
        parts = (
            [":", head, position, entry]
            if self.kind.pattern
            else [":", position, head]
            if self.kind.per_head
            else [":", position, entry]
        )
        while parts[-1] == ":" and len(parts) > 2:
            parts.pop()
        return f"np.s_[{', '.join(parts)}]"


def listed_axes(axes: Sequence[str]) -> str:
    return f"[{', '.join(axes)}]"


def sweep_of(printed: Printed, gradients: bool = False) -> tuple[PairScript, str, Value, int]:
    """The pair, the activation, the value and the window of a sweep.

    Raises:
        ValueError: the result is no sweep.
    """
    if not isinstance(printed.result, EffectMap):
        raise ValueError("A sweep is printed from its result: transformerlens_code(result).")
    activation = printed.chosen("activation", ACTIVATIONS)
    return (
        PairScript(printed, gradients),
        activation,
        as_value(printed.params.get("value", "other")),
        printed.whole("window", 1) or 1,
    )


def over_draws(draws: int, lines: Lines) -> Lines:
    """Lines that define `values`, repeated for each draw."""
    if draws == 1:
        return lines
    repeated = indented([*lines, "every.append(values)"])
    return ["every = []", f"for draw in range({draws}):", *repeated, "values = np.mean(every, axis=0)"]


def shape_comment(activation: str) -> str:
    kind = ACTIVATIONS[activation]
    axes = (
        "head, position, source" if kind.pattern else "position, head, d_head" if kind.per_head else "position, d_model"
    )
    return f"[batch, {axes}]".replace("d_model", "neuron" if activation == "mlp_post" else "d_model")


def hook_lines(activation: str) -> Lines:
    return [f"HOOK = {hook_of(activation)!r}  # {shape_comment(activation)}"]


@writes("activation_patching")
def activation_patching(printed: Printed) -> Script:
    pair, activation, value, window = sweep_of(printed)
    values, cells = Values(pair, [value]), Cells(pair, activation, value, window)
    known = (COMPUTED, UNCHANGED, NO_COUNTERPART)
    not_run = int((~_is_in(printed.result.state, known)).sum())
    note = [f"# In the result, {not_run} cells were not run, or only estimated: here, all are run."] if not_run else []
    changes = "(HOOK.format(layer), {at}, new)" if window == 1 else "(name, {at}, new) for name in near"
    cell = f"metric(patched([{changes}])).item()"
    body = [
        *pair.metric_lines(),
        *hook_lines(activation),
        *values.lines(),
        *filled(RUN, base=pair.base),
        *note,
        *over_draws(values.draws, cells.lines(cell)),
    ]
    about = f"the {pair.label} of each run in which one place of {activation} is patched: {listed_axes(cells.axes)}"
    return Script(about, pair.lines(body))


def _is_in(state: Any, known: Sequence[int]) -> Any:
    import numpy as np

    return np.isin(state, [int(one) for one in known])


@writes("attribution_patching")
def attribution_patching(printed: Printed) -> Script:
    pair, activation, value, window = sweep_of(printed, gradients=True)
    params = printed.params
    others = [name for name in ("ig_steps", "qk_fix", "grad_drop") if params.get(name)]
    if params.get("rules", "gradient") != "gradient" or others:
        named = others[0] if others else "rules other than gradient"
        raise NoForm(
            printed, f"of its estimates, only the plain gradient is a few lines of hooks, and this one has {named}."
        )
    values, cells = Values(pair, [value]), Cells(pair, activation, value, window)
    body = [
        *pair.metric_lines(),
        *hook_lines(activation),
        *values.lines(),
        *filled(GRADIENTS, base=pair.base),
        *over_draws(
            values.draws,
            cells.lines(
                "base.item() + effect(HOOK.format(layer), {at})"
                if window == 1
                else "base.item() + sum(effect(name, {at}) for name in near)"
            ),
        ),
    ]
    about = f"the {pair.label} of the {pair.base} run plus the estimated effect of patching {activation}"
    return Script(f"{about}: {listed_axes(cells.axes)}", pair.lines(body), gradients=True)


# Several places together


@writes("patch_together")
def patch_together(printed: Printed) -> Script:
    given = printed.params.get("interventions")
    if not isinstance(given, list) or not given or not all(isinstance(part, list) and part for part in given):
        raise ValueError("The result does not say which interventions it made. Run the method again.")
    parts = [[Intervention.model_validate(one) for one in part] for part in given]
    pair = PairScript(printed)
    if pair.many and (pair.mixed or not pair.aligned):
        raise NoForm(printed, "the prompts of its data set have different lengths. Take one pair.")
    values = Values(pair, [one.value for part in parts for one in part])
    body = [
        *pair.metric_lines(),
        *values.lines(),
        *filled(RUN, base=pair.base),
        "parts = [  # (hook name, index, new value)",
        *(
            f"    [{', '.join(written)}],"
            for written in ([*filter(None, (_change(pair, values, one) for one in part))] for part in parts)
        ),
        "]",
        *over_draws(
            values.draws,
            [
                "runs = [sum(parts, []), *parts]  # all together, and each alone",
                "values = np.array([metric(patched(run)).item() if run else np.nan for run in runs])  # [run]",
            ],
        ),
    ]
    return Script(f"the {pair.label} of the run with all changes, and of a run with each of them", pair.lines(body))


def _change(pair: PairScript, values: Values, one: Intervention) -> str:
    """One change as code; empty if no position has a counterpart."""
    if one.activation not in ACTIVATIONS:
        raise ValueError(f"There is no activation {one.activation!r:.60}.")
    kind, [*runs] = ACTIVATIONS[one.activation], pair.pairs
    length = len(runs[0].ids[pair.base])
    positions = None if one.position is None else [p % length for p in as_tuple(one.position, length)]
    if reads_other(one.value) and not pair.aligned:
        counterparts = runs[0].counterparts or []
        positions = [p for p in (range(length) if positions is None else positions) if counterparts[p] is not None]
        if not positions:
            return ""
    entry = one.source if kind.pattern else one.neuron
    entries = None if entry is None else list(as_tuple(entry, 0))
    position = ":" if positions is None else repr(positions[0]) if len(positions) == 1 else listed(positions)
    last = ":" if entries is None else repr(entries[0]) if len(entries) == 1 else listed(entries)
    if last.startswith("[") and position.startswith("["):  # every position with every entry
        position = repr([[p] for p in positions or ()])
    head = ":" if one.head is None else repr(one.head)
    index = (
        [":", head, position, last]
        if kind.pattern
        else [":", position, head]
        if kind.per_head
        else [":", position, last]
    )
    while index[-1] == ":" and len(index) > 2:
        index.pop()
    return f"({hook_of(one.activation).format(one.layer)!r}, np.s_[{', '.join(index)}], {values.name(one.value)})"
