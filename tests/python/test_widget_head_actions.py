"""What is asked of one head in the attention viewer: scores, patches, attribution, circuits; and pages of a viewer."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from attention_widgets import PROMPT, as_sent, circuitsvis_of, find, scores_by_name, state_in, wire_of
from driven_widgets import Watched, ask, events

import hookscope as hs
import interp_backend as ib
from hookscope import attention_frame
from interp_backend.common.head_measures import MEASURES
from interp_backend.results.codec import decode_array
from tiny_models import PAIR, bridge


def test_scores_on_random_tokens_come_when_they_are_asked_for(one, embedded):
    ask(one, "head_scores")
    assert one.error is None and events(one, "view:1")[-1] == "result" and one.status == "done"
    alone, scores = ib.head_scores(embedded), scores_by_name(one)
    assert list(scores) == [*MEASURES, *(f"random:{name}" for name in alone.scores)]
    for name, part in alone.scores.items():
        score = scores[f"random:{name}"]
        np.testing.assert_allclose(decode_array(score["values"]), part, atol=1e-6)
        assert score["on"] == "random" and score["label"] == alone.about[name].label
        if name in alone.spread:
            np.testing.assert_allclose(decode_array(score["spread"]), alone.spread[name], atol=1e-6)
        else:
            assert score["spread"] is None
    one.set_state({"sort": "random:induction"})
    assert one.error is None and one.sort == "random:induction"
    before = one.head_scores
    ask(one, "show", id="view:2", text=PROMPT)  # they are of the model, not of the prompt
    assert one.head_scores is before and "random:induction" in scores_by_name(one)


def test_a_score_on_random_tokens_is_measured_when_heads_are_to_be_sorted_by_it(one, embedded):
    one.sort = "random:copying"
    assert one.wait(60) and one.sort == "random:copying" and one.head_scores is not None
    begun = Watched(hs.AttentionViewer, embedded, PROMPT, sort="random:induction")
    assert begun.sort == "random:induction" and "random:induction" in scores_by_name(begun)
    begun.close()


def test_scores_on_random_tokens_of_chosen_heads():
    widget = Watched(hs.AttentionViewer, bridge("gpt2"), "hello there", layers=[1, 2], heads=[0, 3])
    widget.measure()
    assert widget.wait(60) and widget.error is None
    part = decode_array(scores_by_name(widget)["random:entropy"]["values"])
    np.testing.assert_array_equal(part, widget.head_scores.scores["entropy"][1:][:, [0, 3]])
    spread = decode_array(scores_by_name(widget)["random:entropy"]["spread"])
    np.testing.assert_array_equal(spread, widget.head_scores.spread["entropy"][1:][:, [0, 3]])
    widget.close()


def test_scores_can_be_measured_before_there_is_a_result(embedded):
    widget = Watched(hs.AttentionViewer, embedded, "")
    assert widget.result is None and "is empty" in widget.error["message"]
    with pytest.raises(ValueError, match="no result yet"):
        widget.save("/nowhere/page.html")
    with pytest.raises(ValueError, match="no result yet"):
        widget.to_circuitsvis()
    for method in ("patch_head", "attribute_head", "head_circuits"):
        ask(widget, method, layer=0, head=0)
        assert "no result yet" in widget.error["message"]
    widget.measure()
    assert widget.wait(60) and widget.head_scores is not None
    assert "is empty" in widget.error["message"]  # it still shows this prompt
    ask(widget, "show", id="view:2", text=PROMPT)
    assert widget.error is None and "random:induction" in scores_by_name(widget)
    widget.close()


@pytest.mark.parametrize("activation", ["z", "pattern"])
def test_a_patched_head_is_the_sweeps_own_number(viewer, embedded, capitals, activation):
    ask(viewer, "patch_head", layer=2, head=1, activation=activation)
    assert viewer.error is None and events(viewer, "view:1")[-1] == "result" and viewer.status == "done"
    shown = viewer.head_patch
    assert (shown["layer"], shown["head"], shown["activation"], shown["direction"]) == (2, 1, activation, "denoise")
    options = {"activation": activation, "layers": [2], "heads": [1]}
    sweep = ib.activation_patching(embedded, capitals, axes=("layer", "head", "position"), **options)
    np.testing.assert_allclose(decode_array(shown["effects"]), sweep.normalized[0, 0], atol=1e-5)
    np.testing.assert_array_equal(decode_array(shown["state"]), sweep.state[0, 0])
    whole = ib.activation_patching(embedded, capitals, axes=("layer", "head"), **options)
    assert shown["all"] == pytest.approx(float(whole.normalized[0, 0]), abs=1e-5) and abs(shown["all"]) > 1e-3
    assert shown["tokens"] == sweep.labels["position"] and shown["label"] == sweep.metric_label
    assert len(shown["tokens"]) == 6 and shown["scale_text"] == sweep.scale_text
    np.testing.assert_allclose(viewer.patch_result.values, sweep.values, atol=1e-4)


def test_patching_that_can_not_be_says_why(one):
    ask(one, "patch_head", layer=0, head=0)
    assert "needs two prompts" in one.error["message"] and one.head_patch is None
    dead = Watched(hs.AttentionViewer, bridge("gptj"), PAIR)
    ask(dead, "patch_head", layer=0, head=0, activation="pattern")
    assert "never reach the output" in dead.error["message"] and dead.head_patch is None
    ask(dead, "patch_head", id="view:2", layer=0, head=0)
    assert dead.error is None and dead.head_patch["activation"] == "z"
    dead.close()
    bare = Watched(hs.AttentionViewer, bridge("gpt2"), ib.PromptPair(clean=PAIR.clean, corrupt=PAIR.corrupt))
    ask(bare, "patch_head", layer=0, head=0)
    assert bare.error["message"] and bare.head_patch is None
    bare.close()


def assert_attributed(shown, found, layer, head):
    """What a view is told of one head is the attribution's own; its rank counted one by one."""
    assert (shown["layer"], shown["head"], shown["quantity"]) == (layer, head, found.quantity)
    here = found.labels.index(f"head {layer}.{head}")
    heads = [at for at, label in enumerate(found.labels) if label.startswith("head ")]
    assert list(shown["sides"]) == list(found.sides)
    for name, side in shown["sides"].items():
        values = found.sides[name].values
        assert side["value"] == pytest.approx(float(values[here]), abs=1e-5)
        assert side["total"] == pytest.approx(float(found.sides[name].total), abs=1e-4)
        assert side["of"] == len(heads)
        assert side["rank"] == 1 + sum(abs(values[at]) > abs(values[here]) for at in heads)
        by_source = decode_array(side["by_source"])
        np.testing.assert_allclose(by_source, found.sides[name].by_source[layer, head], atol=1e-5)
        assert by_source.sum() == pytest.approx(side["value"], abs=1e-4)
        assert side["tokens"] == found.sides[name].tokens and side["position"] == found.sides[name].position


def test_an_attributed_head_of_a_pair_is_of_its_answers(viewer, embedded, capitals):
    ranks = []
    found = ib.direct_logit_attribution(embedded, capitals, unit="head", by_source=True)
    for at, (layer, head) in enumerate([(0, 0), (1, 3), (3, 2)]):
        ask(viewer, "attribute_head", id=f"view:{at}", layer=layer, head=head)
        assert viewer.error is None and viewer.head_attribution["answer"] == found.params["answer"]
        assert viewer.head_attribution["wrong_answer"] == found.params["wrong_answer"]
        assert_attributed(viewer.head_attribution, found, layer, head)
        ranks.append(viewer.head_attribution["sides"]["clean"]["rank"])
    assert len(set(ranks)) == 3


@pytest.mark.parametrize(
    "asked",
    [{}, {"answer": " Norway"}, {"answer": " Norway", "wrong_answer": " Sweden"}],
    ids=["likeliest", "one", "two"],
)
def test_an_attributed_head_of_a_prompt_is_of_the_answer_asked_for_or_the_likeliest(embedded, asked):
    widget = Watched(hs.AttentionViewer, embedded, PROMPT)
    ask(widget, "attribute_head", layer=2, head=1, **asked)
    assert widget.error is None
    likeliest = int(embedded.raw(torch.tensor([embedded.to_ids(PROMPT)]))[0, -1].argmax())
    answer = asked.get("answer", likeliest)
    found = ib.direct_logit_attribution(
        embedded, PROMPT, answer, asked.get("wrong_answer"), unit="head", by_source=True
    )
    assert_attributed(widget.head_attribution, found, 2, 1)
    assert widget.head_attribution["answer"] == found.params["answer"]
    widget.close()


def test_a_pair_without_answers_is_attributed_to_the_likeliest_next(embedded):
    widget = Watched(hs.AttentionViewer, embedded, ib.PromptPair(clean=PROMPT, corrupt="The capital of Sweden is"))
    ask(widget, "attribute_head", layer=2, head=1)
    assert widget.error is None and widget.head_attribution["answer"] == [" Oslo"]
    widget.close()


@pytest.mark.parametrize("circuit", ["ov", "qk"])
@pytest.mark.parametrize("tokens", ["prompt", "all"])
def test_pairs_of_a_head_are_its_circuits_own(viewer, embedded, capitals, circuit, tokens):
    viewer.side = "corrupt"
    ask(viewer, "head_circuits", layer=1, head=2, circuit=circuit, tokens=tokens)
    assert viewer.error is None and events(viewer, "view:1")[-1] == "result"
    text = capitals.corrupt if tokens == "prompt" else None
    alone, shown = ib.head_circuits(embedded, 1, 2, circuit, prompt=text), viewer.head_circuits
    for part in ("pairs", "lowest"):
        assert [(p["source"], p["target"]) for p in shown[part]] == [(p.source, p.target) for p in getattr(alone, part)]
        assert [p["value"] for p in shown[part]] == pytest.approx([p.value for p in getattr(alone, part)], abs=1e-5)
    assert (shown["layer"], shown["head"], shown["circuit"], shown["tokens"]) == (1, 2, circuit, tokens)
    assert shown["note"] == alone.note and shown["copying"] == (
        alone.copying and pytest.approx(alone.copying, abs=1e-5)
    )
    json.dumps(shown, allow_nan=False)
    assert viewer.pairs.pairs == alone.pairs


def test_pairs_of_a_prompts_tokens_go_with_its_side(viewer):
    ask(viewer, "head_circuits", layer=1, head=2, tokens="all")
    viewer.side = "corrupt"
    assert viewer.head_circuits is not None
    ask(viewer, "head_circuits", id="view:2", layer=1, head=2, tokens="prompt")
    viewer.side = "clean"
    assert viewer.head_circuits is None


def test_actions_go_when_another_kind_is_shown(viewer):
    ask(viewer, "patch_head", layer=0, head=1)
    ask(viewer, "head_circuits", id="view:2", layer=0, head=1)
    assert viewer.head_patch and viewer.head_circuits
    ask(viewer, "attention_patterns", id="view:3", kind="scores")
    assert viewer.head_patch is None and viewer.head_circuits is None and viewer.pairs is None


# Pages, and CircuitsVis


def test_a_page_has_all_numbers(viewer, tmp_path, monkeypatch):
    monkeypatch.setattr(attention_frame, "MOST_SENT", 100)
    ask(viewer, "attention_patterns", kind="scores")
    assert not wire_of(viewer)["whole"]
    page = viewer.save(tmp_path / "attention.html").read_text("utf-8")
    [frame] = [part for part in find(state_in(page), "result") if isinstance(part, dict) and "whole" in part]
    assert frame["whole"] and frame["kept"] == {}
    for side in ("clean", "corrupt", "difference"):
        np.testing.assert_array_equal(decode_array(frame["values"][side]), as_sent(viewer.result, side))
    assert "http://" not in page.split("<body")[0] and not wire_of(viewer)["whole"]


def test_a_page_of_a_large_result_has_the_opened_heads(viewer, tmp_path, few):
    ask(viewer, "attention_patterns", kind="value_weighted")
    viewer.opened = [[1, 2], [3, 0]]
    page = viewer.save(tmp_path / "attention.html").read_text("utf-8")
    state = state_in(page)
    [frame] = [part for part in find(state, "result") if isinstance(part, dict) and "whole" in part]
    assert not frame["whole"] and frame["values"] == {}
    assert sorted(frame["kept"]) == sorted(
        f"{side}:{head}" for side in ("clean", "corrupt", "difference") for head in ("1.2", "3.0")
    )
    for key, array in frame["kept"].items():
        side, head = key.split(":")
        layer, head = map(int, head.split("."))
        np.testing.assert_array_equal(decode_array(array), as_sent(viewer.result, side)[layer, head])
    assert any(thumbs == viewer.thumbs for thumbs in find(state, "thumbs"))
    assert wire_of(viewer)["kept"] == {}


def test_a_saved_page_shows_marks_of_direction_as_numbers(embedded, tmp_path):
    widget = Watched(hs.AttentionViewer, embedded, "The \u202ecapital")
    page = widget.save(tmp_path / "page.html").read_text("utf-8")
    heading = page[page.index("<title>") : page.index("</title>")]
    assert "\u202e" not in heading and "\u27e8202E\u27e9capital" in heading and "Attention" in heading
    widget.close()


def test_circuitsvis_gets_the_same_numbers(viewer):
    viewer.side = "difference"
    handed = circuitsvis_of(viewer.to_circuitsvis([(1, 2), (0, 3)]))
    values = np.nan_to_num(viewer.result.values_of("difference"), nan=0.0)
    np.testing.assert_allclose(handed["attention"], [values[1, 2], values[0, 3]], atol=1e-6)
    assert handed["attentionHeadNames"] == ["1.2", "0.3"] and handed["tokens"] == viewer.result.tokens
    high = wire_of(viewer)["high"]["difference"]
    assert handed["maxValue"] == pytest.approx(high) and handed["minValue"] == pytest.approx(-high)
    assert handed["maskUpperTri"] is True
    viewer.side, viewer.shown_layers = "corrupt", [2]
    handed = circuitsvis_of(viewer.to_circuitsvis())
    assert handed["attentionHeadNames"] == ["2.0", "2.1", "2.2", "2.3"]
    assert handed["tokens"] == viewer.result.sides["corrupt"].tokens
    np.testing.assert_allclose(handed["attention"], np.nan_to_num(viewer.result.values_of("corrupt")[2]), atol=1e-6)
    with pytest.raises(ValueError, match="no layer 9"):
        viewer.to_circuitsvis([(9, 0)])
