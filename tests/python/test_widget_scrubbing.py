"""The circuit graph's tab of causal scrubbing, driven as a view would: the hypothesis, its choices, and its JSON."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest
from driven_widgets import Watched, ask, events
from hypothesis import given, settings
from hypothesis import strategies as st

import hookscope as hs
import interp_backend as ib
from hookscope import scrubbing_tab
from hookscope.commands import as_commands
from hookscope.scrubbing_tab import ARGUMENTS, CHOICES
from interp_backend.results.codec import decode_array
from interp_backend.results.hypothesis import MOST_NODES, value_of

CAPITALS = {"Norway": "Oslo", "Egypt": "Cairo", "France": "Paris", "Japan": "Tokyo"}
PHRASINGS = ["The capital city of {country} is", "In {country}, the capital is"]
DEFAULTS = {
    "loss": "log_prob",
    "sides": "clean",
    "others": "together",
    "unscrub": "hypothesis",
    "samples": 1,
    "seed": 0,
}


def name_length(datum):
    return len(datum.answers[0])


@pytest.fixture(scope="module")
def data():
    rows = [{"country": country, "capital": capital} for country, capital in CAPITALS.items()]
    made = [ib.PromptPairs.from_template(text, rows, answer=" {capital}") for text in PHRASINGS]
    return ib.PromptPairs([pair for pairs in made for pair in pairs])


@pytest.fixture
def view(embedded, data):
    widget = Watched(hs.CircuitGraph, embedded, data, edges=10, features=[name_length])
    widget.set_state({"tab": "scrubbing"})
    assert widget.wait(60)
    yield widget
    widget.close()


def scrub(widget, id="view:1", **change):
    chosen = {"agree": widget.agree, **{name: getattr(widget, name) for name in ARGUMENTS}} | change
    ask(widget, "scrub", id, **chosen)


def wire(widget, name):
    """A trait as a view gets it."""
    return json.loads(json.dumps(widget.get_state(name)[name]))


def same(ours, theirs):
    np.testing.assert_array_equal(ours.values.values, theirs.values.values)
    assert ours.scrubbed == theirs.scrubbed


def test_the_circuit_on_the_screen_is_scrubbed(view, embedded, data):
    assert view.status == "done" and view.error is None
    expected = ib.causal_scrubbing(embedded, view.circuit, data)
    same(view.scrubbing, expected)
    assert view.hypothesis == ib.Hypothesis.of(view.circuit)
    outline = wire(view, "outline")
    assert outline["nodes"] == view.hypothesis.nodes and outline["problem"] is None
    assert outline["data"] == 8 and outline["tree"] == len(view.scrubbing.tree)


def test_a_closed_tab_scrubs_nothing(embedded, data):
    widget = Watched(hs.CircuitGraph, embedded, data, edges=10)
    assert widget.scrubbing is None and widget.outline is None
    widget.close()


def test_what_must_agree_and_every_option_reach_the_method(view, embedded, data):
    chosen = {"loss": "prob", "sides": "both", "others": "separately", "unscrub": "none", "samples": 2, "seed": 3}
    scrub(view, agree={"m2": "answer", "m0": "token@-2"}, **chosen)
    hypothesis = ib.Hypothesis(edges=view.hypothesis.edges, agree={"m2": "answer", "m0": "token@-2"})
    options = {ARGUMENTS[name]: value for name, value in chosen.items()}
    same(view.scrubbing, ib.causal_scrubbing(embedded, hypothesis, data, **options))
    assert events(view, "view:1")[-1] == "result"
    assert {name: getattr(view, name) for name in chosen} == chosen


def test_the_view_has_what_the_result_has(view):
    sent, found = wire(view, "scrubbing"), view.scrubbing
    assert sent["recovered"] == found.recovered and [sent["low"], sent["high"]] == list(found.interval)
    assert sent["constant"] == found.constant and sent["baselines"] == found.baselines and sent["done"] == 8
    np.testing.assert_array_equal(decode_array(sent["shares"]), found.shares.astype(np.float32))
    np.testing.assert_array_equal(decode_array(sent["sources"]), found.sources)
    assert [one["path"] for one in sent["tree"]] == [one.path for one in found.tree]
    assert sent["complete"] is False and "values" not in sent and "data" not in sent["params"]


def test_what_agreed_is_said_by_each_feature(view):
    scrub(view, agree={"m2": "answer", "m0": "name_length"})
    said = wire(view, "said")
    assert said["name_length"] == [str(name_length(one)) for one in view.scrubbing.data]
    assert said["answer"] == [f" {capital}" for capital in CAPITALS.values()] * 2
    drawn = {node.path: view.scrubbing.sources[0, at] for at, node in enumerate(view.scrubbing.tree)}
    assert all(said["answer"][one] == said["answer"][i] for i, one in enumerate(drawn["logits/m2"]))


def test_features_are_explained_by_the_first_datum(view):
    outline, datum = wire(view, "outline"), view.scrubbing.data[0]
    assert outline["tokens"] == datum.tokens
    for name in ("token", "class", "previous", "position"):
        assert outline["examples"][name] == [str(value_of(f"{name}@{at}", datum, 0)) for at in range(len(datum.tokens))]
    assert outline["examples"]["answer"] == [" Oslo"] and outline["examples"]["name_length"] == ["5"]
    assert "exact" not in outline["examples"]
    offered = [one["name"] for one in view.info["features"]]
    assert offered[0] == "exact" and offered[-2:] == ["name_length", "anything"]


def test_only_part_of_many_stand_ins_is_sent(view, monkeypatch):
    scrub(view, samples=3)
    nodes = len(view.scrubbing.tree)
    for most, shape in ((3 * 8 * nodes, [3, nodes, 8]), (2 * 8 * nodes, [2, nodes, 8]), (5 * nodes, [1, nodes, 5])):
        monkeypatch.setattr(scrubbing_tab, "MOST_SENT", most)
        sent = wire(view, "scrubbing")
        assert sent["sources"]["shape"] == shape and len(sent["data"]) == 8
        samples, _, count = shape
        np.testing.assert_array_equal(decode_array(sent["sources"]), view.scrubbing.sources[:samples, :, :count])


def test_the_first_estimate_comes_early_and_without_stand_ins(embedded, data, monkeypatch):
    seen = []

    class Seeing(hs.CircuitGraph):
        def _take_scrubbing(self, id, found):
            super()._take_scrubbing(id, found)
            seen.append((found.done, found.total, wire(self, "scrubbing")))

    widget = Watched(Seeing, embedded, data, edges=10, hypothesis=ib.Hypothesis(edges=["m3->logits", "m2->logits"]))
    widget.set_state({"tab": "scrubbing"})
    assert widget.wait(60)
    done, total, first = seen[0]
    assert done < total and "sources" not in first and first["recovered"] is not None
    assert "sources" in seen[-1][2]
    widget.close()


def test_another_circuit_is_another_hypothesis_and_what_was_said_of_its_nodes_stays(view, embedded, data):
    scrub(view, agree={"m2": "answer", "a2.h1": "anything"})
    assert "a2.h1" not in view.hypothesis.agree and view.hypothesis.agree["m2"] == "answer"
    before = view.scrubbing
    view.set_state({"edges": 6})
    assert view.wait(60) and view.scrubbing is not before
    assert view.hypothesis.edges == ib.Hypothesis.of(view.circuit).edges
    assert view.agree == {"m2": "answer", "a2.h1": "anything"}


def test_a_circuit_of_too_many_paths_offers_the_largest_that_fits(view):
    before, id = view.scrubbing, view.scrubbing.id
    view.set_state({"edges": 479})
    assert view.wait(60)
    problem, fits = view.outline["problem"], view.outline["fits"]
    assert "too many" in problem and 10 < fits < 479 and view.error is None
    assert view.scrubbing is before and view.scrubbing.id == id
    whole = view.result

    def size(n):
        return len(ib.Hypothesis.of(whole.reduced(n)).tree(whole.senders, whole.parallel, False))

    assert size(fits) <= MOST_NODES
    with pytest.raises(ValueError, match="Unfolded into a tree"):
        size(fits + 1)


def test_a_single_pair_is_too_few_until_data_are_given(embedded, capitals, data):
    widget = Watched(hs.CircuitGraph, embedded, capitals, edges=10)
    widget.set_state({"tab": "scrubbing"})
    assert widget.wait(60) and widget.scrubbing is None and widget.error is None
    assert "data=ib.PromptPairs" in widget.outline["problem"] and widget.outline["nodes"]
    widget.data = data
    assert widget.wait(60) and widget.outline["problem"] is None
    same(widget.scrubbing, ib.causal_scrubbing(embedded, widget.circuit, data))
    widget.close()


def test_a_hypothesis_of_its_own_with_functions(embedded, data):
    own = ib.Hypothesis(edges=["m3->logits", "m2->logits"], agree={"m3": name_length, "m2": "answer"})
    widget = Watched(hs.CircuitGraph, embedded, data, hypothesis=own)
    widget.set_state({"tab": "scrubbing"})
    assert widget.wait(60) and widget.hypothesis == own and widget.agree == {"m3": "name_length", "m2": "answer"}
    same(widget.scrubbing, ib.causal_scrubbing(embedded, own, data))
    widget.set_state({"edges": 5})
    assert widget.wait(60) and widget.hypothesis == own
    ask(widget, "scrub_circuit", "view:2")
    assert widget.hypothesis.edges == ib.Hypothesis.of(widget.circuit).edges
    widget.close()


def test_python_sets_a_hypothesis(view, embedded, data):
    def capital(datum):
        return datum.answers[0]

    own = ib.Hypothesis(edges=["m3->logits", "m2->logits"], agree={"m3": capital})
    view.hypothesis = own
    assert view.wait(60) and view.hypothesis == own
    same(view.scrubbing, ib.causal_scrubbing(embedded, own, data))
    assert [one["name"] for one in view.info["features"]][-3:] == ["name_length", "capital", "anything"]


def test_json_is_loaded_back(view, embedded, data):
    own = ib.Hypothesis(
        edges=["m3->logits", "a3.h3->logits", "m2->a3.h3<v>"],
        agree={"m3": name_length, "a3.h3<q>": "exact", "m2": "answer"},
    )
    ask(view, "load_hypothesis", text=own.to_json())
    assert view.hypothesis == own and view.error is None
    same(view.scrubbing, ib.causal_scrubbing(embedded, own, data))
    assert ib.Hypothesis.from_json(json.dumps(view.outline["hypothesis"])).to_wire() == own.to_wire()


BAD = {
    "": "This is not JSON",
    "{": "This is not JSON",
    "[]": "hypothesis is an ib.Hypothesis",
    '{"edges": ["m0->input"]}': "This is no hypothesis",
    '{"edges": ["m3->logits", "m3->m1", "m1->logits"]}': "would make a cycle",
    '{"edges": ["m3->logits"], "agree": {"m3": "shape"}}': "There is no feature 'shape'",
    '{"edges": ["m9->logits"]}': "of another model: it names m9",
    '{"edges": ["a0.h7->logits"]}': "4 layers of 4 heads",
    '{"edges": ["m3->logits"], "agree": {"m3": {"own": "vowels"}}}': "was not given",
    '{"edges": ["m3->logits"], "code": "print(1)"}': "This is no hypothesis",
}


@pytest.mark.parametrize("text", BAD)
def test_bad_json_is_a_sentence_and_nothing_is_lost(view, text):
    before = view.scrubbing, view.hypothesis, {name: getattr(view, name) for name in CHOICES}
    ask(view, "load_hypothesis", text=text)
    assert events(view, "view:1")[-1] == "error"
    assert BAD[text] in view.error["message"]
    assert (view.scrubbing, view.hypothesis, {name: getattr(view, name) for name in CHOICES}) == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"agree": {"m3": "shape"}}, "There is no feature 'shape'"),
        ({"agree": {"m3": "answer@2"}}, "takes no position"),
        ({"agree": {"nonsense": "answer"}}, "nonsense"),
        ({"loss": "rank"}, "There is no metric of scrubbing 'rank'"),
        ({"others": "never"}, "There is no way to resample 'never'"),
        ({"samples": 0}, "samples"),
    ],
)  # fmt: skip
def test_what_can_not_be_chosen_is_refused_and_nothing_changes(view, change, words):
    before = view.scrubbing
    scrub(view, **change)
    assert words in view.error["message"] and view.scrubbing is before and view.agree == {}
    assert {name: getattr(view, name) for name in ARGUMENTS} == DEFAULTS


def test_a_feature_that_fails_is_a_sentence(embedded, data):
    def broken(datum):
        raise KeyError("on purpose")

    widget = Watched(hs.CircuitGraph, embedded, data, edges=10, features={"mine": broken})
    widget.set_state({"tab": "scrubbing"})
    assert widget.wait(60)
    before = widget.scrubbing
    scrub(widget, agree={"m2": "mine"})
    assert "The feature broken failed for datum 0" in widget.error["message"] and widget.scrubbing is before
    widget.close()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"features": {"token": name_length}}, "There is a feature token already"),
        ({"features": ["answer"]}, "functions of an ib.Datum"),
        ({"hypothesis": {"edges": []}}, "hypothesis is an ib.Hypothesis"),
        ({"features": [lambda datum: 1, lambda datum: 2]}, "Two functions are called <lambda>"),
    ],
)
def test_the_constructor_refuses(embedded, data, options, words):
    with pytest.raises(ValueError, match=words):
        hs.CircuitGraph(embedded, data, **options)


def test_code_makes_what_is_shown(view):
    scrub(view, agree={"m2": "answer"}, samples=2)
    names = {}
    exec(view.code, names)
    same(names["result"], view.scrubbing)


def test_a_choice_is_a_command_and_is_undone(embedded, data):
    bench = hs.Workbench(embedded, data[0], views=["circuit"])
    graph = bench.panels[1]
    graph.data = data
    bench.replay(as_commands([{"view": "Circuit", "do": "set", "params": {"tab": "scrubbing"}}]))
    assert graph.wait(60)
    params = DEFAULTS | {"agree": {"m3": "answer"}}
    bench.replay(as_commands([{"view": "Circuit", "do": "scrub", "params": params}]))
    assert graph.wait(60) and graph.agree == {"m3": "answer"}
    assert graph.hypothesis.agree == {"m3": "answer"}
    assert "agree" in bench._history.entries[-1].words and "samples" not in bench._history.entries[-1].words
    after = graph.scrubbing.recovered
    bench.undo()
    assert graph.wait(60) and graph.agree == {} and graph.scrubbing.recovered != after
    bench.redo()
    assert graph.wait(60) and graph.agree == {"m3": "answer"} and graph.scrubbing.recovered == after
    bench.close()


def test_a_cancel_leaves_what_was_done_and_another_run_does_not_repeat_it(embedded, data):
    go_on, reached = threading.Event(), threading.Event()
    go_on.set()

    def waits(datum):
        reached.set()
        assert go_on.wait(60)
        return datum.answers[0]

    widget = Watched(hs.CircuitGraph, embedded, data, edges=10, features=[waits])
    widget.set_state({"tab": "scrubbing"})
    assert widget.wait(60)
    graph, before = widget.result, widget.scrubbing
    go_on.clear()
    worker = threading.Thread(target=widget.perform, args=("scrub", DEFAULTS | {"agree": {"m2": "waits"}}))
    reached.clear()
    worker.start()
    assert reached.wait(60)
    widget.cancel()
    go_on.set()
    worker.join(60)
    widget.cancel()
    assert widget.wait(60)
    ask(widget, "run_again", "view:9")
    assert widget.result is graph and widget.scrubbing is not before
    same(widget.scrubbing, ib.causal_scrubbing(embedded, widget.hypothesis, data))
    widget.close()


def test_a_saved_page_has_the_whole_result(view, tmp_path):
    page = view.save(tmp_path / "scrubbing.html")
    (found,) = [one for one in hs.load_report(page) if isinstance(one, ib.Scrubbing)]
    same(found, view.scrubbing)
    assert view.save(tmp_path / "scrubbing.csv").read_text("utf-8").startswith("run,metric,recovered")


@pytest.fixture(scope="module")
def unread(embedded):
    """A view that scrubs nothing."""
    pair = ib.PromptPair(clean="The key", corrupt="The keys", clean_answer=" is", corrupt_answer=" are")
    widget = Watched(hs.CircuitGraph, embedded, pair)
    yield widget
    widget.close()


NODES = st.one_of(st.text(max_size=8), st.sampled_from(["m3", "a3.h3", "a3.h3<k>", "logits", "input"]))
SAID = st.one_of(st.text(max_size=8), st.none(), st.sampled_from(["exact", "answer", "token@2", "token@", "class"]))


@settings(max_examples=60, deadline=None)
@given(agree=st.dictionaries(NODES, SAID, max_size=3))
def test_whatever_a_view_says_must_agree_is_taken_or_refused(unread, agree):
    unread.agree, unread.error = {}, None
    params = DEFAULTS | {"agree": agree}
    unread.take_message({"kind": "request", "id": "view:1", "method": "scrub", "params": params})
    if unread.error is None:
        assert unread.agree == agree
        made = ib.Hypothesis(edges=["m3->logits", "a3.h3->logits", "input->logits"]).with_agree(agree)
        assert set(made.agree) == set(agree) - {"logits"} or not set(agree) <= {"m3", "a3.h3", "a3.h3<k>", "input"}
    else:
        assert unread.agree == {} and unread.error["message"].endswith(".")
