"""Scripts that follow paths: path patching, and the scores of edges."""

from __future__ import annotations

from ..language.model import LanguageModel
from ..methods.path_patching import MLPS
from ..results.effect_map import TOGETHER, EffectMap
from ..results.graph import LOGITS, Graph, Node, parse_node
from .parts import Lines, NoForm, PairScript, Printed, Script, filled, writes

PATHS = '''
layers = range(model.cfg.n_layers)
frozen = [f"blocks.{layer}.{part}" for layer in layers for part in $frozen]
receivers = [  # where they read: hook name, and head
$receivers
]


def patched(senders):
    """Logits of the $base run in which the receivers read what the senders write in the $other run."""
    # First, what the receivers read over direct paths: all other $others write what they do in the $base run.
    acts = {name: own[name].clone() for name in frozen if name in own}
    for name, head in senders:
        act = acts.setdefault(name, own[name].clone())
        theirs = cache[name]$there
        if head is None:
            act[:, $both] = theirs
        else:
            act[:, $both, head] = theirs[:, :, head]
    read = {}

    def put(act, hook, name):
        return acts[name]

    def keep(act, hook, name):
        read[name] = act.clone()

    hooks = [(name, partial(put, name=name)) for name in acts]
    hooks += [(name, partial(keep, name=name)) for name in dict.fromkeys(name for name, _ in receivers)]
    model.run_with_hooks($base, fwd_hooks=hooks)

    # Then the $base run itself, in which the receivers read that.
    def give(act, hook, name, head):
        if head is None:
            return read[name]
        head //= model.cfg.n_heads // act.shape[2]  # heads may share keys and values
        act[:, :, head] = read[name][:, :, head]
        return act

    hooks = [(name, partial(give, name=name, head=head)) for name, head in receivers]
    return model.run_with_hooks($base, fwd_hooks=hooks)


senders = [  # where they write: hook name, and head
$senders
]
values = np.array([metric(patched(one)).item() for one in senders])  # [sender]
'''

EDGES = '''
layers = range(model.cfg.n_layers)


def differs(name):
    """Clean minus corrupt, of one activation."""
    return $difference


# What each sender writes into the residual stream, [position, d_model].
written = {"input": differs("blocks.0.hook_resid_pre")}
for layer in layers:
    z = differs(f"blocks.{layer}.attn.hook_z")
    for head in range(model.cfg.n_heads):
        written[f"a{layer}.h{head}"] = z[:, head] @ model.W_O[layer, head].detach()
    written[f"m{layer}"] = differs(f"blocks.{layer}.hook_mlp_out")

# The gradient of the metric by queries, keys and values, by what MLPs read, and by the last stream.
parts = ["attn.hook_q", "attn.hook_k", "attn.hook_v", "mlp.hook_in"]
last = f"blocks.{layers[-1]}.hook_resid_post"
names = [f"blocks.{layer}.{part}" for layer in layers for part in parts]
acts = {}


def keep(name):
    def hook_at(act, hook):
        acts[name] = act
        return act

    return name, hook_at


logits = model.run_with_hooks($base, fwd_hooks=[keep(name) for name in [*names, last] if name in own])
gradients = dict(zip(acts, torch.autograd.grad(metric(logits), [*acts.values()])))


def back(layer, part, head):
    """The gradient by the stream that is read: pulled back through a norm, and through a head's matrix."""
    block, act = model.blocks[layer], f"blocks.{layer}.attn.hook_{part}"
    x = own[f"blocks.{layer}.hook_$mlp_reads" if part == "m" else f"blocks.{layer}.hook_resid_pre"]
    x = x.clone().requires_grad_()
    if part == "m":
        act = f"blocks.{layer}.mlp.hook_in"
        made = getattr(block, "ln2" if hasattr(block, "ln2") else "ln1")(x)
        gradient = gradients[act]
    else:
        made = getattr(block.attn, part)(block.ln1(x)).view_as(own[act])
        head //= model.cfg.n_heads // made.shape[2]  # heads may share keys and values
        gradient = torch.zeros_like(made)
        gradient[:, :, head] = gradients[act][:, :, head]
    assert torch.allclose(made, own[act], atol=1e-3), "this layer does not read the stream like that"
    return torch.autograd.grad(made, x, gradient)[0][0]


senders, receivers = [("input", -1)], []  # by name, and when and where: an MLP reads and writes $after its heads
for layer in layers:
    senders += [(f"a{layer}.h{head}", layer) for head in range(model.cfg.n_heads)]
    receivers += [(layer, (layer, "q", head)) for head in range(model.cfg.n_heads)]
    receivers += [(layer, (layer, part, head)) for part in "kv" for head in range(0, model.cfg.n_heads, $shared)]
    senders.append((f"m{layer}", layer$half))
    receivers.append((layer$half, (layer, "m", None)))
receivers.append((len(layers), None))  # the logits
values = np.full([len(senders), len(receivers)], np.nan)  # NaN where there is no edge
for j, (reads, where) in enumerate(receivers):
    gradient = back(*where) if where else gradients[last][0]
$both    for i, (name, writes) in enumerate(senders):
        if writes < reads:
            values[i, j] = (written[name] * gradient).sum().item()
'''


def _runs(pair: PairScript) -> Lines:
    """Both runs, and how the positions of one are found in the other."""
    lines = [f"_, own = model.run_with_cache({pair.base})", f"_, cache = model.run_with_cache({pair.other})"]
    if not pair.aligned:
        lines += [
            "both = [p for p, other in enumerate(counterpart) if other is not None]",
            "there = [counterpart[p] for p in both]",
        ]
    return lines


def _rows(items: Lines) -> str:
    return "\n".join(f"    {item}" for item in items)


@writes("path_patching")
def path_patching(printed: Printed) -> Script:
    result = printed.result
    if not isinstance(result, EffectMap) or "sender" not in result.labels:
        raise ValueError("Path patching is printed from its result: transformerlens_code(result).")
    receivers = printed.params.get("receivers")
    if not isinstance(receivers, list):
        raise ValueError("The result does not say which receivers it is of. Run the method again.")
    pair, frozen = PairScript(printed), printed.chosen("mlps", MLPS) == "frozen"
    senders = [[parse_node(name) for name in label.split(TOGETHER)] for label in result.labels["sender"]]
    where = dict.fromkeys(one for name in receivers for one in _reads(parse_node(name)))
    paths = filled(
        PATHS,
        frozen='["attn.hook_z", "hook_mlp_out"]' if frozen else '["attn.hook_z"]',
        receivers=_rows([f"{one}," for one in where]),
        base=pair.base,
        other=pair.other,
        others="heads and MLPs" if frozen else "heads",
        there="" if pair.aligned else "[:, there]",
        both=":" if pair.aligned else "both",
        senders=_rows([f"[{', '.join(map(_writes, nodes))}]," for nodes in senders]),
    )
    return Script(
        f"the {pair.label} when the receivers read each sender from the {pair.other} run: [sender]",
        pair.lines([*pair.metric_lines(), *_runs(pair), *paths]),
        imports=("from functools import partial",),
    )


def _writes(node: Node) -> str:
    """Where a sender writes: hook name, and head or None."""
    if node.head is not None:
        return f'("blocks.{node.layer}.attn.hook_z", {node.head})'
    return (
        f'("blocks.{node.layer}.hook_mlp_out", None)' if node.layer is not None else '("blocks.0.hook_resid_pre", None)'
    )


def _reads(node: Node) -> Lines:
    """Where a receiver reads: hook names, and head or None."""
    if node.head is not None:
        return [f'("blocks.{node.layer}.attn.hook_{part}", {node.head})' for part in node.part or "qkv"]
    if node.layer is not None:
        return [f'("blocks.{node.layer}.mlp.hook_in", None)']
    return ['(f"blocks.{layers[-1]}.hook_resid_post", None)']


@writes("edge_attribution")
def edge_attribution(printed: Printed) -> Script:
    result = printed.result
    if not isinstance(result, Graph):
        raise ValueError("A graph is printed from its result: transformerlens_code(result).")
    model = printed.need_model("Whether norms follow attention is not in the result.")
    pair = PairScript(printed, gradients=True)
    if printed.params.get("rules", "gradient") != "gradient" or printed.params.get("ig_steps"):
        raise NoForm(printed, "of its estimates, only the plain gradient (EAP) is a few lines of hooks.")
    if any(hasattr(model.raw.blocks[0], name) for name in ("ln1_post", "ln2_post")):
        raise NoForm(printed, "norms follow attention in this model, so what a head adds is no matrix product.")
    parallel = result.parallel
    own, other = ("[0]", "[0]") if pair.aligned else ("[0, both]", "[0, there]")
    sides = [f"own[name]{own}", f"cache[name]{other}"]
    edges = filled(
        EDGES,
        difference=" - ".join(sides if pair.base == "clean" else reversed(sides)),
        base=pair.base,
        mlp_reads="resid_pre" if parallel else "resid_mid",
        after="as" if parallel else "half a layer after",
        half="" if parallel else " + 0.5",
        shared=_shared(printed, model, result),
        both="" if pair.aligned else "    gradient = gradient[both]\n",
    )
    return Script(
        f"the estimated share of each edge in the {pair.label}, clean minus corrupt: [sender, receiver]",
        pair.lines([*pair.metric_lines(), *pair.without_gradients(_runs(pair)), *edges]),
        gradients=True,
    )


def _shared(printed: Printed, model: LanguageModel, graph: Graph) -> int:
    """How many heads share keys and values, in a graph that has attention and an MLP in each layer.

    Raises:
        NoForm: a graph of another kind.
    """
    senders, receivers = ["input"], []
    heads = range(model.n_heads)
    shared = model.n_heads // (getattr(model.raw.cfg, "n_key_value_heads", None) or model.n_heads)
    for layer in range(model.n_layers):
        senders += [*(f"a{layer}.h{head}" for head in heads), f"m{layer}"]
        receivers += [f"a{layer}.h{head}<q>" for head in heads]
        receivers += [f"a{layer}.h{head}<{part}>" for part in "kv" for head in heads[::shared]]
        receivers.append(f"m{layer}")
    if graph.senders != senders or graph.receivers != [*receivers, LOGITS]:
        raise NoForm(printed, "this model does not have attention and an MLP in each layer.")
    return shared
