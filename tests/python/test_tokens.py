"""Texts and tokens: what stands in front of a prompt, how tokens are shown, and which texts have no tokens."""

import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers

import interp_backend as ib
from interp_backend.methods.repeated_tokens import sequence
from tiny_models import boot, bridge, byte_tokenizer, random_model


def model_with(tokenizer: Tokenizer | transformers.PreTrainedTokenizerFast, name: str = "tokens") -> ib.LanguageModel:
    raw = boot(random_model("llama"), name)
    if isinstance(tokenizer, Tokenizer):
        tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")
    raw.cfg.default_prepend_bos = False
    raw.tokenizer = tokenizer
    return ib.load_model(raw)


def word_tokenizer(*words: str) -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(("<unk>", *words))}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_next")
    return tokenizer


@pytest.mark.parametrize(
    ("architecture", "prefix"), [("gpt2", [256]), ("llama", [256]), ("gpt_neox", []), ("qwen2", [])]
)
def test_the_prefix_is_what_the_model_puts_in_front_of_every_prompt(architecture, prefix):
    model = ib.load_model(bridge(architecture))
    assert model.prefix() == prefix
    assert model.to_ids("hello") == [*prefix, *model.answer_ids("hello")]
    assert sequence(model, [1, 2], [1, 2]) == [*prefix, 1, 2, 1, 2]
    assert model.prefix(False) == [] and model.prefix(True) == [256]
    assert model.to_ids("hello", False) == model.answer_ids("hello")


def test_without_the_token_in_front_a_pair_is_run_as_plain_transformers_runs_it():
    raw = bridge("gpt2")
    pair = ib.PromptPair(
        clean="hello there", corrupt="hellu theru", clean_answer="a", corrupt_answer="b", prepend_bos=False
    )
    result = ib.activation_patching(raw, pair)
    plain = random_model("gpt2").eval()
    ids = [
        torch.tensor([byte_tokenizer()(text, add_special_tokens=False)["input_ids"]])
        for text in (pair.clean, pair.corrupt)
    ]
    right, wrong = (byte_tokenizer()(text, add_special_tokens=False)["input_ids"][0] for text in "ab")
    with torch.no_grad():
        clean, corrupt = (plain(one).logits[0, -1] for one in ids)
    assert result.baselines["clean"] == pytest.approx(float(clean[right] - clean[wrong]), abs=1e-4)
    assert result.baselines["corrupt"] == pytest.approx(float(corrupt[right] - corrupt[wrong]), abs=1e-4)
    assert len(result.prompts["clean"].tokens) == len(pair.clean)
    assert "prepend_bos=False" in ib.activation_patching.code(result.params)
    assert result.values.shape == (3, len(pair.clean))


def test_values_from_other_prompts_begin_as_the_pair_does():
    pair = ib.PromptPair(
        clean="hello there", corrupt="hellu theru", clean_answer="a", corrupt_answer="b", prepend_bos=False
    )
    mean = ib.Mean(prompts=("hullo there",), by_position=True)  # fits only if it has as many tokens as the pair
    assert ib.activation_patching(bridge("gpt2"), pair, value=mean).complete


def test_a_prompt_and_a_pair_are_read_without_the_token_in_front_by_every_method():
    raw, text = bridge("gpt2"), "hello there"
    pair = ib.PromptPair(clean=text, corrupt="hellu theru", clean_answer="a", corrupt_answer="b", prepend_bos=False)
    for method, arguments in (
        (ib.logit_lens, {"targets": ["a"]}),
        (ib.direct_logit_attribution, {"answer": "a"}),
        (ib.attention_patterns, {}),
    ):
        bare = method(raw, text, prepend_bos=False, **arguments)
        assert bare.sides["prompt"].ids == method(raw, pair, **arguments).sides["clean"].ids
        assert bare.sides["prompt"].ids == method(raw, text, **arguments).sides["prompt"].ids[1:]
        assert method(raw, pair, prepend_bos=True, **arguments).sides["clean"].ids[0] == 256
        assert "prepend_bos=False" in method.code(bare.params)


def test_a_doubled_bos_is_warned_of_by_every_method():
    raw, text = bridge("gpt2"), "<bos>hello there"
    for method, arguments in (
        (ib.logit_lens, {}),
        (ib.direct_logit_attribution, {"answer": "a"}),
        (ib.attention_patterns, {}),
    ):
        result = method(raw, text, **arguments)
        assert result.sides["prompt"].ids[:2] == [256, 256]
        assert [warning for warning in result.warnings if "<bos>" in warning and "twice" in warning]


@given(st.text(min_size=1, max_size=12))
def test_the_texts_of_a_texts_tokens_are_its_bytes(text):
    model = ib.load_model(bridge("gpt2"))
    shown = "".join(model.token_texts(model.answer_ids(text)))
    whole = text.encode("utf-8", "backslashreplace")
    assert shown == "".join(bytes([byte]).decode("utf-8", "backslashreplace") for byte in whole)


def test_byte_pieces_of_sentencepiece_show_their_byte():
    pieces = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    tokenizer = Tokenizer(
        models.BPE(vocab={piece: i for i, piece in enumerate(pieces)}, merges=[], unk_token="<unk>", byte_fallback=True)
    )
    tokenizer.decoder = decoders.ByteFallback()
    model = model_with(tokenizer)
    assert model.token_texts(model.answer_ids("é")) == ["\\xc3", "\\xa9"]
    assert model.token_texts(model.answer_ids("a\n")) == ["a", "\n"]


def test_an_added_token_is_shown_as_it_is():
    tokenizer = byte_tokenizer()
    tokenizer.add_tokens([AddedToken("café")])
    raw = boot(random_model("gpt2"), "added")
    raw.tokenizer = tokenizer
    assert ib.load_model(raw).token_text(257) == "café"


def test_an_exchanged_tokenizer_gives_its_own_texts():
    model = model_with(word_tokenizer("one", " two"))
    assert model.token_texts([1, 2]) == ["one", " two"]
    model.raw.tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=word_tokenizer("uno", " due"), unk_token="<unk>"
    )
    assert model.token_texts([1, 2]) == ["uno", " due"]


def test_a_token_that_the_model_does_not_know_is_refused():
    tokenizer = byte_tokenizer()
    tokenizer.add_tokens([AddedToken("café")])
    raw = boot(random_model("gpt2"), "beyond")
    raw.tokenizer = tokenizer
    with pytest.raises(ValueError, match=r"token 257 \(“café”\) of this text, but the model has embeddings for 257"):
        ib.logit_lens(raw, "a café")


@pytest.mark.parametrize("text", ["\ud800", "half \udc00 a character"])
def test_half_a_character_is_refused(text, embedded):
    with pytest.raises(ValueError, match=r"half a character .*Delete it"):
        ib.logit_lens(embedded, text)
    with pytest.raises(ValueError, match=r"half a character .*Delete it"):
        ib.tokenize(embedded, ib.PromptPair(clean=text, corrupt="b", clean_answer=" c", corrupt_answer=" d"))


def test_different_texts_of_the_same_tokens_are_an_error_of_the_pair():
    tokenizer = word_tokenizer("rome", "oslo", " is")
    tokenizer.normalizer = normalizers.Lowercase()
    model = model_with(tokenizer)
    warnings = {w.code: w for w in ib.tokenize(model, ib.PromptPair(clean="Rome is", corrupt="rome is")).warnings}
    assert warnings["equal_tokens"].level == "error" and warnings["equal_tokens"].field == "corrupt"
    warnings = {w.code for w in ib.tokenize(model, ib.PromptPair(clean="Rome is", corrupt="oslo is")).warnings}
    assert "equal_tokens" not in warnings
    with pytest.raises(ValueError, match="makes the same tokens of them"):
        ib.activation_patching(model, ib.PromptPair(clean="Paris is", corrupt="Kyiv is"), metric="kl")


@pytest.mark.parametrize(
    ("words", "prompt", "answer", "advised"),
    [
        (("is", " is", "Oslo", " Oslo"), "is", "Oslo", True),
        (("是", " ", "巴黎"), "是", "巴黎", False),  # the space stays a token of its own
        (("คือ", " ", "กรุง"), "คือ", "กรุง", False),
    ],
)
def test_a_leading_space_is_advised_where_the_tokenizer_makes_one_token_with_it(words, prompt, answer, advised):
    tokenizer = word_tokenizer(*words)
    if " " in words:
        tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "isolated")
    pair = ib.PromptPair(clean=prompt, corrupt=f"{prompt} {prompt}", clean_answer=answer)
    assert ("no_leading_space" in {w.code for w in ib.tokenize(model_with(tokenizer), pair).warnings}) == advised


def test_a_single_module_in_training_mode_is_refused_by_every_method():
    raw = boot(random_model("gpt2"), "one module")
    model = ib.load_model(raw)
    next(module for module in raw.original_model.modules() if isinstance(module, torch.nn.Dropout)).train()
    pair = ib.PromptPair(clean="hello there", corrupt="hellu theru", clean_answer="a", corrupt_answer="b")
    for run in (
        lambda: ib.activation_patching(model, pair),
        lambda: ib.logit_lens(model, pair),
        lambda: ib.direct_logit_attribution(model, pair),
        lambda: ib.attention_patterns(model, pair),
        lambda: ib.head_scores(model),
    ):
        with pytest.raises(ValueError, match=r"The module \S+ is in training mode.*model\.eval\(\)"):
            run()
