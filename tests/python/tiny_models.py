"""Small models for tests: random ones of many architectures, and one whose circuit is written by hand."""

from __future__ import annotations

from functools import cache

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformer_lens.model_bridge import TransformerBridge

from interp_backend import PromptPair

BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())
_SIZES = {
    "vocab_size": 257,
    "max_position_embeddings": 64,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
}
_MLP = {"intermediate_size": 64}
_GROUPED = {"num_key_value_heads": 2}

CONFIGS = {
    "gpt2": lambda: transformers.GPT2Config(n_layer=3, n_head=4, n_embd=32, vocab_size=257, n_positions=64),
    "gpt_neo": lambda: transformers.GPTNeoConfig(
        vocab_size=257,
        max_position_embeddings=64,
        hidden_size=32,
        num_layers=3,
        num_heads=4,
        attention_types=[[["global", "local", "global"], 1]],
        window_size=4,
    ),
    "gpt_neox": lambda: transformers.GPTNeoXConfig(**_SIZES, **_MLP),
    "gptj": lambda: transformers.GPTJConfig(
        vocab_size=257, n_positions=64, n_embd=32, n_layer=3, n_head=4, rotary_dim=4
    ),
    "llama": lambda: transformers.LlamaConfig(**_SIZES, **_MLP, **_GROUPED),
    "mistral": lambda: transformers.MistralConfig(**_SIZES, **_MLP, **_GROUPED, sliding_window=4),
    "qwen2": lambda: transformers.Qwen2Config(**_SIZES, **_MLP, **_GROUPED),
    "qwen3": lambda: transformers.Qwen3Config(**_SIZES, **_MLP, **_GROUPED, head_dim=8),
    "gemma": lambda: transformers.GemmaConfig(**_SIZES, **_MLP, **_GROUPED, head_dim=8),
    "gemma2": lambda: transformers.Gemma2Config(**_SIZES, **_MLP, **_GROUPED, head_dim=8, sliding_window=4),
    "opt": lambda: transformers.OPTConfig(**_SIZES, ffn_dim=64, word_embed_proj_dim=32),
    "bloom": lambda: transformers.BloomConfig(vocab_size=257, hidden_size=32, n_layer=3, n_head=4),
    "phi": lambda: transformers.PhiConfig(**_SIZES, **_MLP),
    "phi3": lambda: transformers.Phi3Config(**_SIZES, **_MLP, **_GROUPED, pad_token_id=0),
}
# Attention and MLP side by side: no residual stream between them.
PARALLEL = {"gpt_neox", "gptj", "phi"}

# Letters, one token each; the first difference is in the middle, so that some cells can't have an effect.
PAIR = PromptPair(clean="hello there", corrupt="hellu theru", clean_answer="a", corrupt_answer="b")


def byte_tokenizer() -> transformers.PreTrainedTokenizerFast:
    """Every byte is a token; `<bos>` is put before each text."""
    tokenizer = Tokenizer(models.BPE(vocab={**{c: i for i, c in enumerate(BYTES)}, "<bos>": 256}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<bos>", eos_token="<bos>", pad_token="<bos>", name_or_path="local"
    )
    fast.add_bos_token = True
    return fast


def boot(model: transformers.PreTrainedModel, name: str) -> TransformerBridge:
    return TransformerBridge.boot_transformers(
        f"local-{name}", hf_model=model.eval(), tokenizer=byte_tokenizer(), device="cpu"
    )


def random_model(architecture: str) -> transformers.PreTrainedModel:
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(CONFIGS[architecture](), attn_implementation="eager")
    for parameter in model.parameters():  # fresh weights barely mix positions: make every part matter
        parameter.data.add_(torch.randn_like(parameter) * 0.05)
    return model


def random_encoder(architecture: str) -> transformers.PreTrainedModel:
    """Models that are no decoders, to be refused."""
    if architecture == "bert":
        sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
        return transformers.BertForMaskedLM(transformers.BertConfig(vocab_size=257, **sizes))
    sizes = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
    return transformers.T5ForConditionalGeneration(
        transformers.T5Config(vocab_size=257, decoder_start_token_id=0, **sizes)
    )


@cache
def bridge(architecture: str) -> TransformerBridge:
    """A random model of an architecture; the same object each time, so tests must leave it as it is."""
    return boot(random_model(architecture), architecture)


def copying_model() -> TransformerBridge:
    """Two layers of four heads in which head 1.2 alone copies the token at position 2 to the output.

    The residual stream has a block for the token, one for the position and one for the answer. Head 1.2 looks
    at position 2 from everywhere and moves the token block to the answer block, which the unembedding reads.
    All other weights are zero.
    """
    vocabulary, context, width = 257, 8, 1028
    config = transformers.GPT2Config(
        n_layer=2, n_head=4, n_embd=width, n_inner=4, vocab_size=vocabulary, n_positions=context
    )
    config.tie_word_embeddings = False
    model = transformers.GPT2LMHeadModel(config)
    for name, parameter in model.named_parameters():
        if "ln" not in name:
            parameter.data.zero_()
    token, position, answer = 0, vocabulary, vocabulary + context
    eye = torch.eye(vocabulary)
    model.transformer.wte.weight.data[:, token:position] = eye
    model.transformer.wpe.weight.data[:, position:answer] = torch.eye(context)
    model.lm_head.weight.data[:, answer : answer + vocabulary] = eye
    head = 2 * width // 4  # where head 2 begins
    attention = model.transformer.h[1].attn
    attention.c_attn.bias.data[head] = 100.0  # every query looks for the first key dimension,
    attention.c_attn.weight.data[position + 2, width + head] = 10.0  # which position 2 alone has
    attention.c_attn.weight.data[token:position, 2 * width + head : 2 * width + head + vocabulary] = eye
    attention.c_proj.weight.data[head : head + vocabulary, answer : answer + vocabulary] = eye
    return boot(model, "copying")


def loud_model(architecture: str) -> transformers.PreTrainedModel:
    """A random model in which every gain, bias and softcap moves the logits by more than rounding."""
    model = random_model(architecture)
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1:
            parameter.data.add_(torch.randn_like(parameter) * 0.3)
        if name.split(".")[-2] in ("ln_f", "norm", "final_layer_norm", "final_layernorm") and name.endswith("weight"):
            parameter.data.mul_(8)
    if architecture == "gemma2":
        model.config.final_logit_softcapping = 3.0
    return model.eval()


@cache
def loud_bridge(architecture: str) -> TransformerBridge:
    """A loud model; the same object each time, so tests must leave it as it is."""
    return boot(loud_model(architecture), architecture)


PREVIOUS, INDUCTION = (0, 2), (1, 1)  # the two heads of `induction_model`


@cache
def hand_written(*heads: tuple[int, int, str]) -> TransformerBridge:
    """Two layers of four heads of which some are written by hand, and all others and the MLPs are faint noise.

    The residual stream has a block for the token, one for the position, one for the token before and one for the
    answer, which the unembedding reads. It is the same object for the same heads, so tests must leave it as it is.

    Args:
        heads: (layer, head, what): "back 3" looks three positions back, from the first ones anywhere; "previous" looks
            at the position before and copies its token to the block of the token before; "induction" looks where the
            token before is its own token, else at position 0, and copies the token there to the answer; "duplicate"
            looks at its own token, where it stands and earlier.
    """
    vocabulary, context, width = 257, 64, 1028
    d_head = width // 4
    config = transformers.GPT2Config(
        n_layer=2, n_head=4, n_embd=width, n_inner=4, vocab_size=vocabulary, n_positions=context
    )
    config.tie_word_embeddings = False
    torch.manual_seed(0)
    model = transformers.GPT2LMHeadModel(config)
    for name, parameter in model.named_parameters():
        if "ln" not in name:
            parameter.data.normal_(std=1e-4)
    token, position, before, answer = 0, vocabulary, vocabulary + context, 2 * vocabulary + context
    words, first = 256, 256  # tokens that are no `<bos>`; the dimension of a head that stands for position 0
    model.transformer.wte.weight.data[:, token:position] = torch.eye(vocabulary)
    model.transformer.wpe.weight.data[:, position:before] = torch.eye(context)
    model.lm_head.weight.data.zero_()
    model.lm_head.weight.data[:, answer : answer + vocabulary] = torch.eye(vocabulary)
    for layer, head, what in heads:
        attention = model.transformer.h[layer].attn
        query, key, value = (attention.c_attn.weight.data[:, i * width + head * d_head :][:, :d_head] for i in range(3))
        out = attention.c_proj.weight.data[head * d_head :][:d_head]
        for part in (query, key, value, out):
            part.zero_()
        if what in ("previous", "induction"):
            value[token : token + words, :words] = torch.eye(words)
            to = before if what == "previous" else answer
            # A norm makes 20 of a single 1; what is read again has to be about 1, and the answer larger than the rest.
            out[:words, to : to + words] = torch.eye(words) * (0.05 if what == "previous" else 1.0)
        if what in ("induction", "duplicate"):
            query[token : token + words, :words] = torch.eye(words)
            seen = before if what == "induction" else token
            key[seen : seen + words, :words] = torch.eye(words)
        if what == "induction":
            key[position, first] = 1.0
            attention.c_attn.bias.data[head * d_head + first] = 8.0  # half of what a match gets
        if what == "previous" or what.startswith("back"):
            back = 1 if what == "previous" else int(what.split()[1])
            key[position:before, :context] = torch.eye(context)
            query[position + back : before, : context - back] = torch.eye(context - back)
    return boot(model, "hand-written")


def induction_model() -> TransformerBridge:
    """A model that does nothing but induction: PREVIOUS notes the token before, INDUCTION continues what it finds."""
    return hand_written((*PREVIOUS, "previous"), (*INDUCTION, "induction"))


@cache
def compiled_model(program: str) -> TransformerBridge:
    """Two layers of four heads compiled by hand from a program, as Tracr does it; everything else is zero.

    The residual stream has a block for the token, one for the position, one for what is written on the way and one for
    the answer, which the unembedding reads. The same object for the same program, so tests must leave it as it is.

    Args:
        program: "reverse" recodes each token as the next one of the vocabulary (MLP 0), and says at the end of six
            tokens what stands at the opposite end (head 1.2); "majority" writes the share of "x" among the tokens so
            far (head 0.1) and says it if it is large (MLP 1).
    """
    vocabulary, context, width = 257, 8, 1028
    d_head = width // 4
    config = transformers.GPT2Config(
        n_layer=2, n_head=4, n_embd=width, n_inner=vocabulary, vocab_size=vocabulary, n_positions=context
    )
    config.tie_word_embeddings = False
    model = transformers.GPT2LMHeadModel(config)
    for name, parameter in model.named_parameters():
        if "ln" not in name:
            parameter.data.zero_()
    token, position, way, answer = 0, vocabulary, vocabulary + context, 2 * vocabulary + context
    eye = torch.eye(vocabulary)
    model.transformer.wte.weight.data[:, token:position] = eye
    model.transformer.wpe.weight.data[:, position:way] = torch.eye(context)
    model.lm_head.weight.data[:, answer : answer + vocabulary] = eye

    def head(layer: int, number: int) -> tuple[torch.Tensor, ...]:
        attention, at = model.transformer.h[layer].attn, number * d_head
        parts = [attention.c_attn.weight.data[:, i * width + at :][:, :d_head] for i in range(3)]
        return (*parts, attention.c_proj.weight.data[at:][:d_head])

    if program == "reverse":
        mlp = model.transformer.h[0].mlp
        mlp.c_fc.weight.data[token:position] = eye * 0.1
        mlp.c_proj.weight.data[:, way:answer] = eye.roll(1, 1)  # each token as the next one
        query, key, value, out = head(1, 2)
        key[position:way, :context] = torch.eye(context)
        for at in range(1, 7):
            query[position + at, 7 - at] = 1.0
        value[way:answer, :vocabulary] = eye
        out[:vocabulary, answer : answer + vocabulary] = eye
    else:
        x = BYTES.index("x")
        query, key, value, out = head(0, 1)
        value[token + x, 0] = 1.0
        out[0, way] = 0.005  # so little that it changes no norm
        mlp = model.transformer.h[1].mlp
        mlp.c_fc.weight.data[way, 0] = 5.0
        mlp.c_fc.bias.data[0] = -3.0
        mlp.c_proj.weight.data[0, answer + x] = 0.1  # an answer that is not quite certain
    return boot(model, program)
