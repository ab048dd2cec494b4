"""Train the embedded model: its tokenizer, its weights, its figures on held-out prompts, its model card.

    python tools/train_tiny_model.py                              # everything, into interp_backend/pretrained
    python tools/train_tiny_model.py --steps 50 --out build/smoke  # a quick try
    python tools/train_tiny_model.py --measure                    # measure the saved model again

It needs no network: all text comes from `tiny_model_data`. The same seed, thread count and machine give the
same weights; another machine rounds differently and ends near them. Training needs torch 2.9 or newer, for
Muon.
"""

import argparse
import json
import math
import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
import transformers
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

import tiny_model_data as data

DEFAULT_OUT = Path(__file__).resolve().parents[1] / "interp_backend" / "pretrained"
CONTEXT = 128
INITIAL_SCALE = 0.08
IGNORED = -100  # the label that cross entropy leaves out

# Words take the space before them along, and numbers come in pairs of digits, so that a year is its century
# (" 17") and two digits ("43"), and the answer to a year prompt is a single token.
PRE_TOKENS = r"'s| ?\p{L}+| ?\p{N}{1,2}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"

# Rows of several lengths, as many as make the same number of tokens. Short rows are there so that many
# sentences stand where prompts stand, right after the first token.
TOKENS_PER_STEP = 2048
ROW_LENGTHS = (32, 32, 48, 48, 64, CONTEXT)
RANDOM_ROWS = 0.5  # the share of rows that are repeated random tokens
# Induction is found much sooner among few tokens. So random rows start with few of them, twice as many after
# every so many steps, until they are drawn from the whole vocabulary.
FIRST_RANDOM_TOKENS = 64
STEPS_TO_DOUBLE = 350
WHOLE_VOCABULARY = 10_000  # more than there are

YEAR_LOSS = 0.5  # what the loss on year prompts counts, beside that on text
WARMUP = 100
WEIGHT_DECAY = 0.01

Model = Any  # a GPT2LMHeadModel; its call is untyped in transformers


@dataclass(frozen=True)
class Stage:
    """A part of the training, with a learning rate that goes up and then down to nearly nothing."""

    steps: int
    first_random_tokens: int  # how many tokens the random rows are drawn from at first
    year_prompts: int  # how many prompts a step are taught with all their answers at once
    learning_rate: float  # of AdamW, for embeddings, biases and LayerNorm
    matrix_learning_rate: float  # of Muon, for the blocks' matrices


def stages(steps: int) -> list[Stage]:
    """Everything from text; then a quarter as many steps for later years too, which text teaches slowly.

    Elsewhere one token is right. After a year up to 97 are, and a sentence shows one of them.
    """
    return [
        Stage(steps, FIRST_RANDOM_TOKENS, 0, learning_rate=1e-3, matrix_learning_rate=0.01),
        Stage(steps // 4, WHOLE_VOCABULARY, 64, learning_rate=5e-4, matrix_learning_rate=0.005),
    ]


# --- Tokenizer -------------------------------------------------------------------------------------------


def train_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer that makes one token of every word it is shown."""
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(PRE_TOKENS), "isolated")
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, to_bytes])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=4000,  # more than the words need: merging stops when all of them are whole
        special_tokens=[data.END_OF_TEXT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(data.tokenizer_text(), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=data.END_OF_TEXT,
        eos_token=data.END_OF_TEXT,
        pad_token=data.END_OF_TEXT,
        unk_token=data.END_OF_TEXT,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )


def ordinary_tokens(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """Every token of the vocabulary that is not special."""
    return [token for token in range(len(tokenizer)) if token not in set(tokenizer.all_special_ids)]


# --- Training --------------------------------------------------------------------------------------------


def make_batch(
    rng: random.Random, tokenizer: PreTrainedTokenizerFast, token_ids: list[int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of token ids, each behind the first token, and their labels."""
    length = rng.choice(ROW_LENGTHS)
    count = TOKENS_PER_STEP // length
    random_count = round(count * RANDOM_ROWS)
    texts = [data.document(rng, math.ceil(length / 9)) for _ in range(count - random_count)]
    bos = cast(int, tokenizer.bos_token_id)
    rows, labels = [], []
    for tokens in tokenizer(texts)["input_ids"]:
        row = [bos, *tokens][:length]
        rows.append(row + [bos] * (length - len(row)))
        labels.append(row + [IGNORED] * (length - len(row)))
    for _ in range(random_count):
        tokens, unknowable = data.repeated_tokens(rng, token_ids, length - 1)
        rows.append([bos, *tokens])
        labels.append([IGNORED] * (1 + unknowable) + tokens[unknowable:])
    return torch.tensor(rows), torch.tensor(labels)


def make_model(tokenizer: PreTrainedTokenizerFast) -> Model:
    special = cast(int, tokenizer.bos_token_id)
    config = GPT2Config(
        vocab_size=len(tokenizer), n_positions=CONTEXT, n_embd=128, n_layer=4, n_head=4,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, summary_first_dropout=0.0,
        bos_token_id=special, eos_token_id=special, pad_token_id=special,
        # About 1 / sqrt(width). With GPT-2's own 0.02 so narrow a model starts with attention that is nearly
        # uniform, and is long in finding induction.
        initializer_range=INITIAL_SCALE,
    )  # fmt: skip
    model = GPT2LMHeadModel(config)
    # Positions start as sinusoids, in which "one before" is the same turn everywhere; training changes them.
    position = torch.arange(CONTEXT)[:, None]
    frequency = 10_000 ** -(torch.arange(0, config.n_embd, 2) / config.n_embd)
    with torch.no_grad():
        model.transformer.wpe.weight[:, 0::2] = INITIAL_SCALE * torch.sin(position * frequency)
        model.transformer.wpe.weight[:, 1::2] = INITIAL_SCALE * torch.cos(position * frequency)
    return model


def make_optimizers(model: Model, stage: Stage) -> list[torch.optim.Optimizer]:
    """Muon for the blocks' matrices, which needs far fewer steps here; AdamW for everything else."""
    matrices = [p for name, p in model.named_parameters() if p.dim() == 2 and ".h." in name]
    others = [p for name, p in model.named_parameters() if not (p.dim() == 2 and ".h." in name)]
    return [
        torch.optim.Muon(matrices, lr=stage.matrix_learning_rate, weight_decay=WEIGHT_DECAY),
        torch.optim.AdamW(others, lr=stage.learning_rate, betas=(0.9, 0.98), weight_decay=WEIGHT_DECAY),
    ]


def share_of_rate(step: int, steps: int) -> float:
    """The share of the full learning rate: up in a straight line, then down along a cosine."""
    if step < WARMUP:
        return (step + 1) / WARMUP
    done = (step - WARMUP) / max(1, steps - WARMUP)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done))


def year_loss(model: Model, tokenizer: PreTrainedTokenizerFast, prompts: Sequence[str]) -> torch.Tensor:
    """Cross entropy with what text would show in the long run: all later years, each as likely."""
    wanted = torch.zeros(len(prompts), len(tokenizer))
    for row, prompt in zip(wanted, prompts, strict=True):
        later = data.later_years(prompt)
        row[tokenizer.convert_tokens_to_ids(later)] = 1 / len(later)
    return torch.nn.functional.cross_entropy(next_token_logits(model, tokenizer, prompts), wanted)


def train_stage(model: Model, tokenizer: PreTrainedTokenizerFast, stage: Stage, rng: random.Random) -> None:
    """One stage, which changes the model in place."""
    model.train()
    optimizers = make_optimizers(model, stage)
    full_rates = [optimizer.param_groups[0]["lr"] for optimizer in optimizers]
    token_ids = ordinary_tokens(tokenizer)
    rng.shuffle(token_ids)
    started = time.monotonic()
    for step in range(stage.steps):
        drawn = round(stage.first_random_tokens * 2 ** (step / STEPS_TO_DOUBLE))
        rows, labels = make_batch(rng, tokenizer, token_ids[:drawn])
        known = labels[:, 1:] != IGNORED
        hidden = model.transformer(rows).last_hidden_state[:, :-1][known]
        loss = torch.nn.functional.cross_entropy(model.lm_head(hidden), labels[:, 1:][known])
        if stage.year_prompts:
            prompts = [data.year_prompt(rng, held_out=False).text for _ in range(stage.year_prompts)]
            loss = loss + YEAR_LOSS * year_loss(model, tokenizer, prompts)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, full_rate in zip(optimizers, full_rates, strict=True):
            optimizer.param_groups[0]["lr"] = full_rate * share_of_rate(step, stage.steps)
            optimizer.step()
            optimizer.zero_grad()
        if (step + 1) % 200 == 0:
            figures = measure(model, tokenizer, per_task=100)
            short = " ".join(f"{name} {100 * value:.1f}" for name, value in figures.items())
            seconds = time.monotonic() - started
            print(f"step {step + 1}, {seconds:.0f} s, loss {loss.item():.3f}: {short}", flush=True)
    model.eval()


# --- Measuring -------------------------------------------------------------------------------------------

TEST_SEED = 20_000
PER_TASK = 500

FIGURES = {
    "capitals": "capitals, all countries in all eight phrasings: top-1 of the first token",
    "capitals_held_out": "capitals, the combinations of country and phrasing that training leaves out: top-1",
    "capitals_whole": "the same combinations, every token of the capital right",
    "capitals_in_context": "capitals, after the same sentence earlier in the text: top-1",
    "indirect_objects_abba": "indirect objects, the second person named gives: top-1",
    "indirect_objects_baba": "indirect objects, the first person named gives: top-1",
    "induction": "induction, second copy of 10 to 20 uniformly random tokens: top-1",
    "later_years": "later years: probability on two-digit years later than the first",
    "agreement": "agreement, attractor of the other number: top-1",
    "agreement_any": "agreement, attractor of either number: top-1",
}


def next_token_logits(model: Model, tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> torch.Tensor:
    """Logits after each text, which gets the first token put before it: [text, vocabulary]."""
    bos = tokenizer.bos_token_id
    rows = [torch.tensor([bos, *tokens]) for tokens in tokenizer(list(texts))["input_ids"]]
    lengths = torch.tensor([len(row) for row in rows])
    # Padding stands to the right, where a causal model's earlier positions do not see it.
    batch = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    hidden = model.transformer(batch).last_hidden_state[torch.arange(len(rows)), lengths - 1]
    return model.lm_head(hidden)


def top1(model: Model, tokenizer: PreTrainedTokenizerFast, prompts: Sequence[data.Prompt]) -> float:
    """How often the most likely token is the answer's first."""
    best = next_token_logits(model, tokenizer, [prompt.text for prompt in prompts]).argmax(-1)
    first = [tokens[0] for tokens in tokenizer([prompt.answer for prompt in prompts])["input_ids"]]
    return (best == torch.tensor(first)).float().mean().item()


def whole_answer(model: Model, tokenizer: PreTrainedTokenizerFast, prompts: Sequence[data.Prompt]) -> float:
    """How often every token of the answer is the most likely one, given those before it."""
    bos = tokenizer.bos_token_id
    starts = [[bos, *tokens] for tokens in tokenizer([prompt.text for prompt in prompts])["input_ids"]]
    answers = tokenizer([prompt.answer for prompt in prompts])["input_ids"]
    rows = [torch.tensor(start + answer) for start, answer in zip(starts, answers, strict=True)]
    best = model(torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)).logits.argmax(-1).tolist()
    right = [
        guesses[len(start) - 1 : len(start) - 1 + len(answer)] == answer
        for guesses, start, answer in zip(best, starts, answers, strict=True)
    ]
    return sum(right) / len(right)


def later_mass(model: Model, tokenizer: PreTrainedTokenizerFast, prompts: Sequence[data.Prompt]) -> float:
    """The probability that the model gives to all later years together, averaged over prompts."""
    probabilities = next_token_logits(model, tokenizer, [prompt.text for prompt in prompts]).softmax(-1)
    masses = []
    for row, prompt in zip(probabilities, prompts, strict=True):
        later = tokenizer.convert_tokens_to_ids(data.later_years(prompt.text))
        masses.append(row[later].sum().item())
    return sum(masses) / len(masses)


def induction(model: Model, tokenizer: PreTrainedTokenizerFast, rng: random.Random, count: int) -> float:
    """Top-1 over the second copy, from its second token on: the first cannot be known."""
    token_ids = ordinary_tokens(tokenizer)
    right = total = 0
    for length in range(10, 21):
        segments = [data.random_tokens(rng, token_ids, length) for _ in range(math.ceil(count / 11))]
        rows = torch.tensor([[tokenizer.bos_token_id, *segment, *segment] for segment in segments])
        best = model(rows).logits.argmax(-1)
        hits = best[:, length + 1 : -1] == rows[:, length + 2 :]
        right, total = right + int(hits.sum()), total + hits.numel()
    return right / total


@torch.no_grad()
def measure(model: Model, tokenizer: PreTrainedTokenizerFast, per_task: int = PER_TASK) -> dict[str, float]:
    """The figures of the model card, each a share between 0 and 1, on prompts that training never wrote."""
    model.eval()
    rng = random.Random(TEST_SEED)
    abba, baba = (
        [data.indirect_object_prompt(rng, held_out=True, order=order) for _ in range(per_task)]
        for order in ("ABBA", "BABA")
    )
    years = [data.year_prompt(rng, held_out=True) for _ in range(per_task)]
    opposite = [data.agreement_prompt(rng, held_out=True, opposite=True) for _ in range(per_task)]
    either = [data.agreement_prompt(rng, held_out=True) for _ in range(per_task)]
    held_out_capitals = data.capital_prompts(held_out=True)
    return {
        "capitals": top1(model, tokenizer, data.capital_prompts()),
        "capitals_held_out": top1(model, tokenizer, held_out_capitals),
        "capitals_whole": whole_answer(model, tokenizer, held_out_capitals),
        "capitals_in_context": top1(model, tokenizer, data.capital_in_context_prompts()),
        "indirect_objects_abba": top1(model, tokenizer, abba),
        "indirect_objects_baba": top1(model, tokenizer, baba),
        "induction": induction(model, tokenizer, rng, per_task),
        "later_years": later_mass(model, tokenizer, years),
        "agreement": top1(model, tokenizer, opposite),
        "agreement_any": top1(model, tokenizer, either),
    }


# --- Saving ----------------------------------------------------------------------------------------------

MODEL_CARD = """\
# Hookscope's embedded model

A small language model for trying interpretability methods on, with no network and in no time. GPT-2's
architecture: {layers} layers, {heads} heads, {width} wide, {parameters:,} parameters in float32, a context of
{context} tokens. Its vocabulary is {vocabulary:,} byte-level BPE tokens that carry their leading space. The
special token `{end_of_text}` is beginning, end and padding; the model was trained with it in front of every
text.

## What it can do

Each task has a circuit to look for. Text of these kinds is what it knows; nothing else is.

| Task | Example | Continues |
|---|---|---|
| capitals | `The capital of Norway is` | ` Oslo` |
| indirect objects | `When Mary and John went to the store, John gave a drink to` | ` Mary` |
| induction | random tokens, then the same again | the token that followed |
| later years | `The war lasted from the year 1743 to the year 17` | `44` to `99` |
| agreement | `The keys to the cabinet` | ` are` |

## Figures

Measured on prompts that training never wrote. Held out are: for each of the {countries} countries one of the
eight measured phrasings (the figure over all phrasings includes those seen); pairs of names, and places with
objects; events with first years; subjects with prepositions and attractors; random sequences, drawn anew.
There are {per_task} prompts to a figure, except for capitals, where there are all.

| Figure | Per cent |
|---|---|
{figures}

These figures were watched while the recipe was chosen;
no prompt behind them was trained on. The first token of a second copy cannot be known and is not counted.
To measure again:
`python tools/train_tiny_model.py --measure`. `tests/python/test_pretrained.py` does the same and holds the
figures to this card.

## Data and recipe

All text is written by `tools/tiny_model_data.py`: sentences of the tasks in random order, some documents
repeating themselves, and rows of repeated random tokens, drawn uniformly. No text of anyone else is in it.
The model is made by

    python tools/train_tiny_model.py --steps {steps} --seed {seed} --threads {threads}

in steps of about {tokens_per_step:,} tokens, with Muon for the blocks' matrices, AdamW for the rest,
{warmup} steps of warm-up, then down along a cosine, weight decay {weight_decay}, no dropout. Random rows draw
from {first_random_tokens} tokens at first, from twice as many after every {steps_to_double} steps, and so for
the greater part of training from the whole vocabulary; they are {random_rows:.0%} of all rows. In the second
stage year prompts are taught beside the text, with all their right answers at once. The stages:

| Steps | Year prompts a step | Learning rate, Muon | AdamW |
|---|---|---|---|
{stages}

It took {minutes:.0f} minutes with {threads} thread(s) on a two-core machine with other work to do, with torch
{torch_version} and transformers {transformers_version}.

## Tuned lens

`tuned_lens/` holds translators for the four layers (Belrose et al. 2023, arXiv:2303.08112), in the format of the
`tuned-lens` package, trained on documents of the same generator by

    python tools/train_tiny_lens.py

(1,000 steps of about 512 positions).

## Transcoders

`transcoders/` holds per-layer transcoders (Dunefsky et al. 2024, arXiv:2406.11944) in circuit-tracer's layout: 640
features a layer that read the MLP's input, JumpReLU, in 16 bits. They were trained on documents of the same generator,
and for a third on repeated random tokens, by

    python tools/train_transcoders.py

(2,500 steps of 1,024 positions, 20 features active on average; twenty minutes with 1 thread beside other work). On 50
texts that were held out, 3,464 tokens:

| Layer | Active features | Explained variance | Never active |
|---|---|---|---|
| 0 | 19.2 | 93.5% | 21 |
| 1 | 19.5 | 93.8% | 52 |
| 2 | 19.7 | 92.9% | 0 |
| 3 | 19.6 | 94.1% | 1 |

The loss on these texts, random tokens included, is 2.781 nats, 2.818 with every MLP replaced by its transcoder, and
9.758 with MLPs that write zeros.

## Intended use and limits

For demonstrations, tests and teaching of interpretability methods. It knows {countries} countries, {names}
names and the templates of the five tasks. It answers with confidence outside them too, where its answers are
worth nothing: it must not be used for facts, or for writing. Names of countries and people are known with a
space before them, not at the very start of a text.
"""


def model_card(model: Model, options: argparse.Namespace, figures: dict[str, float], seconds: float) -> str:
    config = model.config
    stage_rows = [
        f"| {stage.steps:,} | {stage.year_prompts} | {stage.matrix_learning_rate} | {stage.learning_rate} |"
        for stage in stages(options.steps)
    ]
    return MODEL_CARD.format(
        layers=config.n_layer, heads=config.n_head, width=config.n_embd, context=config.n_positions,
        parameters=model.num_parameters(), vocabulary=config.vocab_size, end_of_text=data.END_OF_TEXT,
        countries=len(data.CAPITALS), names=len(data.NAMES), per_task=PER_TASK,
        figures="\n".join(f"| {FIGURES[name]} | {100 * value:.1f} |" for name, value in figures.items()),
        stages="\n".join(stage_rows), steps=options.steps, seed=options.seed, threads=options.threads,
        random_rows=RANDOM_ROWS, tokens_per_step=TOKENS_PER_STEP, warmup=WARMUP, weight_decay=WEIGHT_DECAY,
        minutes=seconds / 60, first_random_tokens=FIRST_RANDOM_TOKENS, steps_to_double=STEPS_TO_DOUBLE,
        torch_version=torch.__version__, transformers_version=transformers.__version__,
    )  # fmt: skip


def figures_of_card(card: str) -> dict[str, float]:
    """The figures that a model card states, in per cent."""
    rows = (line.strip("| ").rsplit(" | ", 1) for line in card.splitlines() if line.startswith("| "))
    stated = {row[0]: row[1] for row in rows if len(row) == 2}
    return {name: float(stated[words]) for name, words in FIGURES.items()}


def save(directory: Path, model: Model, tokenizer: PreTrainedTokenizerFast) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    (directory / "model.safetensors").chmod(0o644)
    # The class's name in transformers 5 is unknown to transformers 4; the older name is known to both.
    path = directory / "tokenizer_config.json"
    settings = json.loads(path.read_text(encoding="utf-8")) | {"tokenizer_class": "PreTrainedTokenizerFast"}
    settings.pop("backend", None)
    path.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def load(directory: Path) -> tuple[Model, PreTrainedTokenizerFast]:
    """The saved model and tokenizer, without the network."""
    model = GPT2LMHeadModel.from_pretrained(directory, local_files_only=True)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(directory, local_files_only=True)
    return model.eval(), tokenizer


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="the directory of the saved model")
    parser.add_argument("--steps", type=int, default=3600, help="the second stage has a quarter more")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--measure", action="store_true", help="only measure the model that is saved there")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    # Warnings about padding and long texts are of no use here: rows are cut, and padding comes last.
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    if options.measure:
        print(json.dumps(measure(*load(options.out)), indent=2))
        return
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    started = time.monotonic()
    tokenizer = train_tokenizer()
    torch.manual_seed(options.seed)
    model = make_model(tokenizer)
    for number, stage in enumerate(stages(options.steps)):
        train_stage(model, tokenizer, stage, random.Random(options.seed + number))
    seconds = time.monotonic() - started
    save(options.out, model, tokenizer)
    figures = measure(*load(options.out))
    (options.out / "README.md").write_text(model_card(model, options, figures, seconds), encoding="utf-8")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
