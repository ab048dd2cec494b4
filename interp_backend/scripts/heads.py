"""Scripts that score heads, on a text or on repeated random tokens."""

from __future__ import annotations

from ..methods.repeated_tokens import fitting_length
from ..results.head_table import HeadScores
from .parts import Lines, NoForm, Printed, Script, bos_comment, filled, listed, numbers, tokens_code, writes

PATTERNS = '''
layers = $layers


def patterns(tokens):
    """The attention of each head: [head, destination, source] for each layer."""
    _, cache = model.run_with_cache(tokens)
    return [cache[f"blocks.{layer}.attn.hook_pattern"][0].float() for layer in layers]


'''

SCORES = '''
def scores(pattern, tokens):
    """Of one layer, [head]: means over destinations. The first position is left out: it sees only itself."""
    place = torch.arange(len(tokens), device=tokens.device)
    back = (place[:, None] - place).clamp(min=0)  # [destination, source]
    same = (tokens[:, None] == tokens).tril(-1)  # the same token, earlier
    after = torch.zeros_like(same)
    after[:, 1:] = same[:, :-1]  # what followed it
    later = pattern[:, 1:]
    return {
        "previous_token": later.diagonal(dim1=1, dim2=2).mean(-1),
        "duplicate_token": (pattern * same).sum((1, 2)) / same.any(1).sum(),
        "induction": (pattern * after).sum((1, 2)) / after.any(1).sum(),
        "first_token": later[:, :, 0].mean(-1),
        "entropy": torch.special.entr(later).sum(-1).mean(-1),
        "distance": (later * back[1:]).sum(-1).mean(-1),
    }


def of_prompt(tokens):
    """Each score by name, [layer, head]."""
    each = [scores(pattern, tokens[0]) for pattern in patterns(tokens)]
    return {name: torch.stack([one[name] for one in each]).cpu().numpy() for name in each[0]}


'''

RANDOM = '''
begin = $begin  # what begins every text
special = set(model.tokenizer.all_special_ids)
size = min(len(model.tokenizer), model.W_E.shape[0])  # the model may have no embedding for some tokens
ordinary = [token for token in range(size) if token not in special]


def draw(count, rng):
    """Different ordinary tokens."""
    return [ordinary[at] for at in rng.choice(len(ordinary), count, replace=False)]


def sequence(*parts):
    return torch.tensor([[*begin, *sum(parts, [])]], device=model.cfg.device)


'''

SEEDS = """
every = []
for seed in range($seeds):
    tokens = draw($length, np.random.default_rng(seed))
    every.append(of_prompt(sequence(tokens, tokens)))  # the tokens, and the same again
values = {name: np.mean([one[name] for one in every], axis=0) for name in every[0]}
"""

INDUCTION = '''
def following(tokens, count):
    """Mean attention from each token of the second half to what followed it in the first, [layer, head]."""
    ahead = [one.diagonal(-(count - 1), 1, 2)[:, -count:].mean(-1) for one in patterns(tokens)]
    return torch.stack(ahead).cpu().numpy()


again, fresh, before = [], [], []
for seed in range($seeds):
    rng = np.random.default_rng(seed)
    count = int(rng.integers($fewest, $most))  # another number in each sequence
    drawn = draw(2 * count, rng)
    first, other = drawn[:count], drawn[count:]
    again.append(following(sequence(first, first), count))
    fresh.append(following(sequence(first, other), count))  # what chance and position give
    steps = [one.diagonal(-1, 1, 2).mean(-1) for one in patterns(sequence(first, first))]
    before.append(torch.stack(steps).cpu().numpy())
values = {
    "induction": np.mean(again, axis=0),
    "baseline": np.mean(fresh, axis=0),
    "previous_token": np.mean(before, axis=0),
}
values["threshold"] = 2 * values["baseline"].max()  # a head above it is an induction head
'''

LOSS = """
def silence(head):
    def write(z, hook):  # [batch, position, head, d_head]
        z[:, :, head] = 0
        return z

    return write


ablated = [$ablated]  # (layer, head): its output z is set to zero
hooks = [(f"blocks.{layer}.attn.hook_z", silence(head)) for layer, head in ablated]
length, first, second = $length, [], []
for seed in range($seeds):
    tokens = draw(length, np.random.default_rng(seed))
    tokens = sequence(tokens, tokens)
    logits = model.run_with_hooks(tokens, fwd_hooks=hooks)[0, :-1].float()
    losses = torch.nn.functional.cross_entropy(logits, tokens[0, 1:], reduction="none").cpu().numpy()
    first.append(losses[:-length].mean())
    second.append(losses[1 - length :].mean())  # without its first token: nothing says yet that tokens come again
values = {"first": np.array(first), "second": np.array(second)}
"""


def _random(printed: Printed) -> Lines:
    """What draws random tokens, and puts parts one after another."""
    model = printed.need_model("Which tokens are drawn depends on the model.")
    return filled(RANDOM, begin=listed(model.prefix()))


def _drawn(printed: Printed, length: int, seeds: int) -> tuple[int, int]:
    """How many tokens are repeated, and how many sequences are drawn."""
    model = printed.need_model("Which tokens are drawn depends on the model.")
    return fitting_length(model, printed.whole("length") or length), printed.whole("seeds") or seeds


@writes("head_scores")
def head_scores(printed: Printed) -> Script:
    result, prompt = printed.result, printed.params.get("prompt")
    if not isinstance(result, HeadScores):
        raise ValueError("Scores of heads are printed from their result: transformerlens_code(result).")
    functions = [*filled(PATTERNS, layers=numbers(result.layers)), *filled(SCORES)]
    about = "scores of each head from its attention, by name: [layer, head]"
    if prompt is None:
        length, seeds = _drawn(printed, 50, 5)
        body = [*functions, *_random(printed), *filled(SEEDS, length=length, seeds=seeds)]
        return Script(f"{about}. Prefix matching and the copying scores are left out", body)
    if not isinstance(prompt, str):
        raise ValueError(f"A prompt is text, not {prompt!r:.60}.")
    tokens = f"tokens = {tokens_code(prompt, None, None)[0]}"
    return Script(about, [*bos_comment(printed), tokens, *functions, "values = of_prompt(tokens)"])


@writes("induction_heads")
def induction_heads(printed: Printed) -> Script:
    model = printed.need_model("Which tokens are drawn depends on the model.")
    length, seeds = _drawn(printed, 40, 8)
    layers = numbers(model.layers_with("pattern"))
    loop = filled(INDUCTION, seeds=seeds, fewest=max(2, length // 2), most=length + 1)
    return Script(
        "columns of the table, as arrays [layer, head]", [*filled(PATTERNS, layers=layers), *_random(printed), *loop]
    )


@writes("repeated_token_loss")
def repeated_token_loss(printed: Printed) -> Script:
    length, seeds = _drawn(printed, 50, 5)
    ablate = printed.params.get("ablate") or []
    if not isinstance(ablate, list) or not all(isinstance(head, list) and len(head) == 2 for head in ablate):
        raise NoForm(printed, "it does not say which heads are ablated.")
    ablated = ", ".join(f"({int(layer)}, {int(head)})" for layer, head in ablate)
    return Script(
        "the mean losses, in nats, at the tokens' first and second occurrence: [seed]",
        [*_random(printed), *filled(LOSS, ablated=ablated, length=length, seeds=seeds)],
    )
