"""Train the two toys of causal scrubbing, and say what hypotheses of them recover.

    python tools/train_scrubbing_toys.py --out build/scrubbing            # both, minutes on one core
    python tools/train_scrubbing_toys.py --out build/scrubbing --measure  # scrub the saved models again

- `induction`: two layers of attention and nothing else, on random characters that repeat. (Its architecture is GPT-2's,
  with MLPs that are zero and stay zero.)
- `brackets`: three layers that read sixteen brackets and say y or n: balanced or not.

They are written as folders that `ib.load_model` reads. The same seed, thread count and machine give the same weights.
"""

from __future__ import annotations

import argparse
import random
import string
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

import interp_backend as ib

LETTERS = string.ascii_letters + string.digits
BALANCED, UNBALANCED = "y", "n"
BOS = "<bos>"
REPEATED = 24  # characters of a row that repeats
PERIODS = (6, 20)  # how many of them are different
BRACKETS = 16
BATCH = 64
NOISE = 0.2  # of the characters that repeat, the share that does not, so that nothing is certain
STEPS = {"induction": 1500, "brackets": 1500}
RATES = {"induction": 3e-3, "brackets": 1e-3}
WARMUP = 100
TEST_SEED = 20_000
MEASURED = 500  # data of each toy

Model = Any  # a GPT2LMHeadModel; its call is untyped in transformers


def tokenizer() -> transformers.PreTrainedTokenizerFast:
    """Every character is a token."""
    vocabulary = {one: i for i, one in enumerate([*LETTERS, "(", ")", "?", BOS])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token=BOS))
    made.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token=BOS, eos_token=BOS, pad_token=BOS, unk_token=BOS
    )
    fast.add_bos_token = True
    return fast


def model_of(name: str, d_vocab: int, bos: int) -> Model:
    attention_only = name == "induction"
    config = transformers.GPT2Config(
        vocab_size=d_vocab, n_positions=32, n_embd=64, n_layer=2 if attention_only else 3,
        n_head=8 if attention_only else 2, n_inner=1 if attention_only else 128,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=bos, eos_token_id=bos, initializer_range=0.1,
    )  # fmt: skip
    model = transformers.GPT2LMHeadModel(config)
    if attention_only:
        for block in model.transformer.h:
            mlp: torch.nn.Module = block.mlp  # pyright: ignore[reportAssignmentType]
            for parameter in mlp.parameters():
                parameter.data.zero_()
                parameter.requires_grad_(False)
    return model


# Text


def repeated(rng: random.Random, noise: float = 0.0) -> tuple[str, int]:
    """Different characters that repeat after some period, and that period."""
    period = rng.randint(*PERIODS)
    text = ("".join(rng.sample(LETTERS, period)) * REPEATED)[: REPEATED + 1]
    noisy = [rng.choice(LETTERS) if i >= period and rng.random() < noise else one for i, one in enumerate(text)]
    return "".join(noisy), period


def elevations(text: str) -> list[int]:
    """How many brackets are open after each."""
    heights, height = [], 0
    for one in text:
        height += 1 if one == "(" else -1 if one == ")" else 0
        heights.append(height)
    return heights


def is_balanced(text: str) -> bool:
    return elevations(text)[-1] == 0 and min(elevations(text)) >= 0


def brackets(rng: random.Random) -> str:
    """Brackets: half of the time balanced; else as many of both kinds in the wrong order, or a few of them turned."""
    half = BRACKETS // 2
    if rng.random() < 0.5:
        text, height = "", 0
        for i in range(BRACKETS):
            left = BRACKETS - i
            up = height == 0 or (height < left and rng.random() < 0.5)
            text, height = text + ("(" if up else ")"), height + (1 if up else -1)
    elif rng.random() < 0.5:
        text = "".join(rng.sample("(" * half + ")" * half, BRACKETS))
    else:
        opened = rng.randint(half - 3, half + 3)
        text = "".join(rng.sample("(" * opened + ")" * (BRACKETS - opened), BRACKETS))
    return f"{text}?{BALANCED if is_balanced(text) else UNBALANCED}"


def rows_of(name: str, rng: random.Random) -> Iterator[tuple[str, int]]:
    """Rows without end, and from which character on they can be known."""
    while True:
        if name == "induction":
            text, period = repeated(rng, NOISE)
            yield text, period + 1
        else:
            yield brackets(rng), BRACKETS + 1


def batch(name: str, rows: Iterator[tuple[str, int]], encode: Callable[[str], list[int]], bos: int) -> Any:
    """Token ids [row, position], and which of the predictions count, [row, position - 1]."""
    some = [next(rows) for _ in range(BATCH)]
    tokens = torch.tensor([[bos, *encode(text)] for text, _ in some])
    first = torch.tensor([known for _, known in some])
    return tokens, torch.arange(tokens.shape[1] - 1)[None] >= first[:, None]


# Training


def train(name: str, seed: int) -> tuple[Model, transformers.PreTrainedTokenizerFast]:
    torch.manual_seed(seed)
    steps, made = STEPS[name], tokenizer()
    bos = made.convert_tokens_to_ids(BOS)
    assert isinstance(bos, int)
    model, rng, began = model_of(name, len(made), bos), random.Random(seed), time.monotonic()
    rows = rows_of(name, rng)

    def encode(text: str) -> list[int]:
        return [made.convert_tokens_to_ids(one) for one in text]  # pyright: ignore[reportReturnType]

    optimizer = torch.optim.AdamW(
        [one for one in model.parameters() if one.requires_grad], lr=RATES[name], weight_decay=0.01
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / WARMUP) * max(0.01, 1 - step / steps)
    )
    for step in range(steps):
        tokens, counts = batch(name, rows, encode, bos)
        logits = model(tokens).logits[:, :-1][counts]
        wanted = tokens[:, 1:][counts]
        loss = torch.nn.functional.cross_entropy(logits, wanted)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if (step + 1) % 500 == 0:
            right = float((logits.argmax(-1) == wanted).float().mean())
            seconds = time.monotonic() - began
            print(f"{name}: step {step + 1}, {seconds:.0f} s, loss {loss.item():.3f}, right {right:.3f}", flush=True)
    return model.eval(), made


# Scrubbing


def data_of(name: str, count: int) -> ib.PromptPairs:
    """Different prompts that training is unlikely to have seen, each with the answer that should follow."""
    rng, texts = random.Random(TEST_SEED), dict[str, None]()
    while len(texts) < count:
        texts[repeated(rng)[0] if name == "induction" else brackets(rng)] = None
    every = list(texts)
    other = {BALANCED: UNBALANCED, UNBALANCED: BALANCED}
    return ib.PromptPairs(
        [
            ib.PromptPair(
                clean=one[:-1],
                corrupt=another[:-1],
                clean_answer=one[-1],
                corrupt_answer=another[-1] if name == "induction" else other[one[-1]],
            )
            for one, another in zip(every, every[1:] + every[:1])
        ]
    )


def closes(datum: ib.Datum) -> bool:
    """As many brackets are closed as were opened."""
    return elevations(datum.text)[-1] == 0


def stays_above(datum: ib.Datum) -> bool:
    """No bracket is closed before it was opened."""
    return min(elevations(datum.text)) >= 0


def both_tests(datum: ib.Datum) -> tuple[bool, bool]:
    return closes(datum), stays_above(datum)


def induction_hypotheses() -> dict[str, ib.Hypothesis]:
    """The induction heads are those of layer 1; what differs is what their queries, keys and values need."""
    first, second = ([f"a{layer}.h{head}" for head in range(8)] for layer in (0, 1))

    def hypothesis(noted: str, heads: str = "") -> ib.Hypothesis:
        """Keys of what layer 0 writes, which reads the input by its values alone; or layer 0 whole for some parts."""
        edges = [f"{head}->logits" for head in second]
        edges += [f"input->{head}<{part}>" for head in second for part in "qv"]
        edges += [f"{below}->{head}<k>" for below in first for head in second]
        edges += [f"{below}->{head}<{part}>" for below in first for head in second for part in heads]
        edges += [f"input->{below}<v>" for below in first] if noted == "values" else []
        return ib.Hypothesis(edges=edges)

    return {
        "naive: keys note the token before, queries and values read the token": hypothesis("values"),
        "layer 0 whole": hypothesis("whole"),
        "layer 0 whole, for queries too": hypothesis("whole", "q"),
        "layer 0 whole, for values too": hypothesis("whole", "v"),
        "refined: layer 0 whole, for queries and values too": hypothesis("whole", "qv"),
    }


def bracket_hypotheses() -> dict[str, ib.Hypothesis]:
    """What every node writes for the answer depends on the two tests alone, or on one of them."""
    first, heads, last = ["input", "a0.h0", "a0.h1", "m0"], ["a1.h0", "a1.h1"], ["a2.h0", "a2.h1"]
    every = [*first, *heads, "m1", *last, "m2"]
    shallow = [f"{node}->logits" for node in every]
    inside = [f"{node}->m1" for node in [*first, *heads]]
    inside += [f"{node}->m2" for node in [*first, *heads, "m1", *last]]
    both = dict.fromkeys(every, both_tests)
    apart = both | dict.fromkeys(first, closes) | {"a1.h0": stays_above, "a1.h1": closes}
    return {
        "coarse: all that the answer needs are the two tests": ib.Hypothesis(edges=shallow, agree=both),
        "that as many close as open is enough": ib.Hypothesis(edges=shallow, agree=dict.fromkeys(every, closes)),
        "that none closes before it opens is enough": ib.Hypothesis(
            edges=shallow, agree=dict.fromkeys(every, stays_above)
        ),
        "refined: the heads of layer 1 do a test each, MLPs put them together": ib.Hypothesis(
            edges=shallow + inside, agree=apart
        ),
        "refined, the wrong way round": ib.Hypothesis(
            edges=shallow + inside, agree=apart | {"a1.h0": closes, "a1.h1": stays_above}
        ),
    }


HYPOTHESES = {"induction": induction_hypotheses, "brackets": bracket_hypotheses}


def measure(name: str, folder: Path) -> None:
    """Print what each hypothesis recovers."""
    model, data = ib.load_model(str(folder / name)), data_of(name, MEASURED)
    for words, hypothesis in HYPOTHESES[name]().items():
        found = ib.causal_scrubbing(model, hypothesis, data, samples=2, unscrub="none")
        (low, high), means = found.interval, found.baselines
        said = ", ".join(f"{one} {value:.3f}" for one, value in means.items() if value is not None)
        print(f"{name}: {words}: {found.recovered:.1f}% [{low:.1f}, {high:.1f}]; {said}", flush=True)
    print(f"{name}: the best constant output: {found.constant:.1f}%")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--out", type=Path, required=True)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--measure", action="store_true")
    given = arguments.parse_args()
    torch.set_num_threads(1)
    for name in STEPS:
        if not given.measure:
            model, made = train(name, given.seed)
            model.save_pretrained(given.out / name)
            made.save_pretrained(given.out / name)
        measure(name, given.out)


if __name__ == "__main__":
    main()
