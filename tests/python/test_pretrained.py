"""The embedded model does what its model card says, measured again on held-out prompts."""

from pathlib import Path

import pytest
import torch
import train_tiny_model as tool
from train_transcoders import texts_of_the_embedded_model

import interp_backend as ib
import tiny_model_data as data
from interp_backend.engine.transcoded import replaced_logits
from interp_backend.engine.turn import Turn
from interp_backend.language.transcoders import embedded_transcoders
from tiny_models import bridge

DIRECTORY = Path(__file__).resolve().parents[2] / "interp_backend" / "pretrained"

# The least that each figure may be; README.md of the model has what was reached.
THRESHOLDS = {
    "capitals": 0.99,
    "capitals_held_out": 0.99,
    "capitals_whole": 0.99,
    "capitals_in_context": 0.99,
    "indirect_objects_abba": 0.98,
    "indirect_objects_baba": 0.98,
    "induction": 0.95,
    "later_years": 0.95,
    "agreement": 0.95,
    "agreement_any": 0.95,
}


@pytest.fixture(scope="module")
def model():
    return tool.load(DIRECTORY)[0]


@pytest.fixture(scope="module")
def tokenizer():
    return tool.load(DIRECTORY)[1]


@pytest.fixture(scope="module")
def figures(model, tokenizer):
    return tool.measure(model, tokenizer)


@pytest.mark.parametrize("name", THRESHOLDS)
def test_figures_reach_their_thresholds(figures, name):
    assert figures[name] >= THRESHOLDS[name]


def test_card_states_what_is_measured(figures):
    """To the rounding, and to one prompt in 500 that another processor's rounding may turn."""
    stated = tool.figures_of_card((DIRECTORY / "README.md").read_text(encoding="utf-8"))
    assert stated == pytest.approx({name: 100 * value for name, value in figures.items()}, abs=0.05 + 0.2)


def test_directory_is_small_and_holds_no_pickles():
    files = [path for path in DIRECTORY.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 8e6
    # The tuned-lens format has a .pt file: read with weights alone, nothing in it can run.
    assert {path.suffix for path in files if path.name != "params.pt"} == {".json", ".md", ".safetensors", ".yaml"}
    lens = torch.load(DIRECTORY / "tuned_lens/params.pt", weights_only=True)
    assert all(type(value) is torch.Tensor for value in lens.values())


def test_enough_countries_phrasings_and_names():
    assert len(data.CAPITALS) >= 60
    assert len(data.CAPITAL_PHRASINGS) >= 4
    assert len(data.NAMES) >= 40


def test_held_out_prompts_are_never_trained_on():
    """The two sides of each split have no combination in common."""
    seen = {prompt.text for prompt in data.capital_prompts(held_out=False)}
    kept = {prompt.text for prompt in data.capital_prompts(held_out=True)}
    assert not seen & kept and len(kept) == len(data.CAPITALS)
    for draw in (data.indirect_object_prompt, data.year_prompt, data.agreement_prompt):
        seen = {draw(tool.random.Random(seed), held_out=False).text for seed in range(2000)}
        kept = {draw(tool.random.Random(seed), held_out=True).text for seed in range(2000)}
        assert not seen & kept


def single(tokenizer, word: str) -> bool:
    return len(tokenizer(word)["input_ids"]) == 1


def test_words_of_the_tasks_are_single_tokens(tokenizer):
    nouns = [form for pair in data.NOUNS.items() for form in pair]
    described = (nouns, data.PREPOSITIONS, data.ADJECTIVES)
    for words in (data.NAMES, data.PLACES, data.OBJECTS, data.EVENTS, *described):
        assert [word for word in words if not single(tokenizer, " " + word)] == []
    assert [year for year in range(100) if not single(tokenizer, f"{year:02d}")] == []
    assert tokenizer.tokenize(" 1743") == ["Ġ17", "43"]


def test_some_capitals_are_one_token_and_some_several(tokenizer):
    for country, capital in data.CAPITALS.items():
        assert single(tokenizer, " " + country) == (country not in data.IN_PIECES)
        assert single(tokenizer, " " + capital) == (capital not in data.IN_PIECES)
    assert 20 <= len(data.IN_PIECES & set(data.CAPITALS.values())) <= 40


def test_text_survives_the_tokenizer(tokenizer):
    text = "The capital of Costa Rica is San José.  Two spaces, 12345, 北京 and a\nline."
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_demonstration_pair(model, tokenizer):
    clean, corrupt = "The capital of Norway is", "The capital of Sweden is"
    assert len(tokenizer(clean)["input_ids"]) == len(tokenizer(corrupt)["input_ids"])
    for word in (" Norway", " Sweden", " Oslo", " Stockholm"):
        assert single(tokenizer, word)


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("The capital of Norway is", " Oslo"),
        ("The capital of Sweden is", " Stockholm"),
        ("The capital of Norway is Oslo. The capital of Norway is", " Oslo"),
        ("The capital of Norway is Oslo. The capital of Sweden is", " Stockholm"),
        ("When Mary and John went to the store, John gave a drink to", " Mary"),
        ("When Mary and John went to the store, Mary gave a drink to", " John"),
        ("The keys to the cabinet", " are"),
        ("The key to the cabinet", " is"),
        ("The key to the cabinets", " is"),
    ],
)
def test_demonstration_prompts(model, tokenizer, prompt, answer):
    with torch.no_grad():
        probabilities = tool.next_token_logits(model, tokenizer, [prompt])[0].softmax(-1)
    assert probabilities[tokenizer(answer)["input_ids"]].item() > 0.9


def test_demonstration_year(model, tokenizer):
    prompt = data.Prompt("The war lasted from the year 1743 to the year 17", "44")
    with torch.no_grad():
        assert tool.later_mass(model, tokenizer, [prompt]) > 0.95


def test_boots_offline_with_the_first_token_put_before(model, tokenizer):
    bridges = pytest.importorskip("transformer_lens.model_bridge")
    bridge = bridges.TransformerBridge.boot_transformers(str(DIRECTORY), device="cpu")
    text = "The capital of Norway is"
    tokens = bridge.to_tokens(text)[0].tolist()
    assert tokens == [tokenizer.bos_token_id, *tokenizer(text)["input_ids"]]
    with torch.no_grad():
        expected = tool.next_token_logits(model, tokenizer, [text])[0]
        torch.testing.assert_close(bridge(text)[0, -1], expected, atol=1e-4, rtol=1e-4)


def test_the_transcoders_fit_as_their_files_and_the_card_say():
    transcoders, model = ib.load_transcoders(), ib.load_model()
    transcoders.check(model)
    said = transcoders.fit
    fit = ib.transcoder_fit(model, transcoders, texts_of_the_embedded_model(model, 50))  # which were held out
    assert fit.tokens == said.tokens and fit.loss == pytest.approx(said.loss, abs=1e-3)
    assert fit.replaced == pytest.approx(said.replaced, abs=0.01) and fit.replaced < fit.loss + 0.1
    for layer in range(4):
        assert fit.explained[layer] == pytest.approx(said.explained[layer], abs=0.005) and fit.explained[layer] > 0.9
        assert fit.l0[layer] == pytest.approx(said.l0[layer], abs=0.2) and fit.l0[layer] < 25
        row = f"| {layer} | {said.l0[layer]:.1f} | {said.explained[layer]:.1%} | {said.dead[layer]} |"
        assert row in (DIRECTORY / "README.md").read_text("utf-8")
    assert embedded_transcoders(model).weights_hash == transcoders.weights_hash


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("The capital of Norway is", " Oslo"),
        ("When Mary and John went to the store, John gave a drink to", " Mary"),
        ("The keys to the cabinet", " are"),
    ],
)
def test_the_tasks_are_solved_with_every_mlp_replaced(prompt, answer):
    model = ib.load_model()
    with Turn(model) as turn:
        logits = replaced_logits(turn, model.to_ids(prompt), ib.load_transcoders())
    assert model.token_text(int(logits[-1].argmax())) == answer


def test_other_models_have_no_transcoders_of_their_own():
    assert embedded_transcoders(bridge("gpt2")) is None
