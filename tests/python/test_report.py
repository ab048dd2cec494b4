"""Reports: what is in their files, what comes back from them, and what of hostile text does."""

from __future__ import annotations

import datetime
import gzip
import json
import re
from base64 import b64encode

import numpy as np
import pytest
from driven_widgets import Watched
from hypothesis import given
from hypothesis import strategies as st

import hookscope as hs
import interp_backend as ib
from hookscope import attention_frame
from hookscope.page import Html, View, escaped, page, read_page
from tiny_models import bridge

HOSTILE = '</script><script>alert(1)</script><img src=x onerror=alert(2)>\u202e "quoted" & [x](javascript:alert(3))'


@pytest.fixture(scope="module")
def views(embedded):
    pair = hs.PromptPair(
        clean="The capital of Norway is",
        corrupt="The capital of Sweden is",
        clean_answer=" Oslo",
        corrupt_answer=" Stockholm",
    )
    kinds = (hs.PatchHeatmap, hs.LogitLensGrid, hs.AttentionViewer, hs.CircuitGraph)
    made = [Watched(kind, embedded, pair) for kind in kinds]
    yield made
    for view in made:
        view.close()


def body_of(path):
    """The page without its data and its script."""
    return path.read_text("utf-8").split("<main", 1)[1].split("<script", 1)[0]


def test_results_come_back_as_they_were(views, tmp_path):
    path = hs.Report(["# One finding", *views], title="Oslo").save(tmp_path / "report.html")
    results = hs.load_report(path)
    assert [type(one) for one in results] == [type(view.result) for view in views]
    np.testing.assert_array_equal(results[0].values, views[0].result.values)
    np.testing.assert_array_equal(results[1].arrays_of("clean").top_probs, views[1].result.arrays_of("clean").top_probs)
    np.testing.assert_array_equal(results[3].scores, views[3].result.scores)
    assert results[0].provenance == views[0].result.provenance


def test_attention_of_many_numbers_comes_back_rounded_and_says_so(embedded, capitals, tmp_path, monkeypatch):
    view = Watched(hs.AttentionViewer, embedded, capitals)
    monkeypatch.setattr(attention_frame, "MOST_EXACT", 100)
    [loaded] = hs.load_report(view.save(tmp_path / "page.html"))
    assert [text for text in loaded.warnings if "rounded" in text] and not view.result.warnings
    for side in ("clean", "corrupt"):
        exact = view.result.values_of(side)
        np.testing.assert_array_equal(np.isnan(loaded.values_of(side)), np.isnan(exact))
        assert 0 < np.nanmax(np.abs(loaded.values_of(side) - exact)) < 0.001
    view.close()


def test_attention_that_is_too_large_for_a_page_is_left_out_of_what_comes_back(viewer, views, few, tmp_path):
    path = hs.Report([viewer, views[0]]).save(tmp_path / "report.html")
    assert [one.method for one in hs.load_report(path)] == ["activation_patching"]


def test_a_page_of_one_view_can_be_loaded_too(views, tmp_path):
    [result] = hs.load_report(views[0].save(tmp_path / "map.html"))
    np.testing.assert_array_equal(result.values, views[0].result.values)


def test_results_without_a_view_are_shown_as_their_picture_or_text(embedded, views, tmp_path):
    scores = ib.head_scores(embedded)
    text = body_of(
        hs.Report([views[3].result, scores, views[0].result.by_metric("logit_diff")]).save(tmp_path / "r.html")
    )
    assert text.count("data-view") == 2 and "HeadScores" in text


def test_every_view_says_how_it_was_made(views, tmp_path):
    text = body_of(hs.Report(views).save(tmp_path / "report.html"))
    assert text.count("How this was made") == len(views)
    times = re.findall(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d", text)
    assert len(times) == 2 * len(views)  # made, and saved
    for said in (
        "hookscope-tiny",
        "tokenizer",
        "weights as trained",
        "python 3",
        "torch",
        "activation_patching",
        "ib.load_model()",
        "logit_lens",
    ):
        assert said in text


def test_what_is_needed_to_make_a_result_again_is_in_its_provenance(embedded, capitals):
    said = ib.activation_patching(embedded, capitals).provenance
    model = said["model"]
    assert model["tokenizer"]["tokens"] == embedded.raw.tokenizer.vocab_size and len(model["tokenizer"]["hash"]) == 32
    assert {"name", "weights", "weights_hash", "device", "dtype"} <= set(model)
    assert {"hookscope", "torch", "transformers", "transformer_lens", "python"} <= set(said["versions"])
    assert datetime.datetime.fromisoformat(said["made"]).utcoffset() is not None


def test_another_tokenizer_has_another_hash(monkeypatch):
    model = ib.load_model(bridge("gpt2"))
    before = model.describe()["tokenizer"]
    assert model.describe()["tokenizer"] == before
    monkeypatch.setattr(model.raw, "tokenizer", ib.load_model().raw.tokenizer)
    assert model.describe()["tokenizer"] != before


def test_views_pin_together_on_the_page(views, tmp_path):
    path = hs.Report(views).save(tmp_path / "report.html")
    groups = {part.state["group"] for part in read_page(path.read_text("utf-8"))}
    assert len(groups) == 1 and None not in groups


def test_saving_links_no_view_of_the_notebook(embedded, capitals, tmp_path):
    first, second = (Watched(hs.PatchHeatmap, embedded, capitals) for _ in range(2))
    hs.Report([first, second]).save(tmp_path / "report.html")
    first.selection = {"layer": 2, "position": 5}
    assert second.selection is None and first.group is None
    for view in (first, second):
        view.close()


def test_what_two_views_have_is_stored_once(embedded, capitals, tmp_path):
    views = [Watched(hs.PatchHeatmap, embedded, capitals) for _ in range(3)]
    sizes = [len(hs.Report(views[:n]).save(tmp_path / "r.html").read_bytes()) for n in (1, 2, 3)]
    assert sizes[2] - sizes[1] < 0.3 * (sizes[0] - len(page([], "")))
    for view in views:
        view.close()


def test_a_report_of_all_views_of_the_embedded_model_is_small(embedded, views, tmp_path):
    editor = hs.PromptPairEditor(embedded, views[0].pair)
    path = hs.Report([editor, *views]).save(tmp_path / "report.html")
    assert path.stat().st_size < 400_000
    editor.close()


def test_markdown_is_rendered_and_html_is_text(tmp_path):
    text = body_of(
        hs.Report([f"# A *title*\n\n| a | b |\n| - | - |\n| 1 | 2 |\n\n{HOSTILE}"]).save(tmp_path / "r.html")
    )
    assert "<h1>A <em>title</em></h1>" in text and "<td>1</td>" in text
    assert "<img" not in text and "<script" not in text and 'href="javascript' not in text


def test_pictures_of_markdown_are_not_loaded(tmp_path):
    text = body_of(hs.Report(["![a](https://example.org/a.png) [b](https://example.org)"]).save(tmp_path / "r.html"))
    assert "<img" not in text and 'href="https://example.org"' in text


def test_a_hostile_title_is_text(tmp_path):
    path = hs.Report(["x"], title=HOSTILE).save(tmp_path / "r.html")
    text = path.read_text("utf-8")
    assert text.count("<script") == 3 and "<img" not in body_of(path) and "\u202e" not in text


@given(st.text())
def test_text_never_leaves_its_place(text):
    whole = page([Html(f"<p>{escaped(text)}</p>")], text)
    assert whole.count("<script") == 3 and whole.count("<p>") == 1 and whole.count("</main>") == 1


@given(st.text(max_size=200))
def test_what_is_no_page_is_refused_in_a_sentence(text):
    for given_text in (text, f'<script type="application/gzip" id="hookscope-page">{text}</script>'):
        with pytest.raises(ValueError, match="no page that Hookscope saved"):
            read_page(given_text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["views", "shared", "state", "own"]), inner)
    ),
    max_leaves=12,
)


@given(JSON)
def test_other_json_is_refused_in_a_sentence(value):
    content = {"schema_version": 1, "shared": [], "views": value, "parts": []}
    packed = b64encode(gzip.compress(json.dumps(content).encode())).decode()
    try:
        read_page(f'<script type="application/gzip" id="hookscope-page">{packed}</script>')
    except ValueError as problem:
        assert "no page that Hookscope saved" in str(problem)
    else:
        assert not value or all(isinstance(one["state"], dict) for one in value)


def test_a_page_of_another_version_is_named(views, tmp_path):
    text = views[0].save(tmp_path / "map.html").read_text("utf-8")
    packed = re.search(r'id="hookscope-page">([^<]*)<', text).group(1)
    other = b64encode(gzip.compress(json.dumps({"schema_version": 9, "shared": [], "views": []}).encode())).decode()
    (tmp_path / "map.html").write_text(text.replace(packed, other), "utf-8")
    with pytest.raises(ValueError, match="version 9"):
        hs.load_report(tmp_path / "map.html")


def test_parts_that_are_nothing_of_the_kind(tmp_path):
    with pytest.raises(ValueError, match="not int"):
        hs.Report([3])


def test_a_view_that_failed_says_why_and_no_file_is_left(embedded, capitals, tmp_path):
    view = hs.PatchHeatmap(embedded, capitals.model_copy(update={"corrupt": ""}))
    with pytest.raises(ValueError, match=r"PatchHeatmap has no result to report: .*empty"):
        hs.Report([view]).save(tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []
    view.close()


def test_views_without_captions_have_no_empty_paragraph(views):
    assert "<p></p>" not in page([View(views[0])], "x")


def test_results_that_no_view_shows_come_back_too_in_the_order_of_the_page(embedded, views, tmp_path):
    graph, pair = views[3].result, views[3].pair
    path_effects = ib.path_patching(embedded, pair, None, ["logits"])
    faithfulness = ib.faithfulness(embedded, pair, graph, random_circuits=0)
    report = hs.Report(["text", path_effects, views[0], faithfulness, graph])
    results = hs.load_report(report.save(tmp_path / "report.html"))
    assert [one.method for one in results] == [
        "path_patching",
        "activation_patching",
        "faithfulness",
        "edge_attribution",
    ]
    np.testing.assert_array_equal(results[0].values, path_effects.values)


def test_the_steps_of_a_trail_come_back(embedded, capitals, tmp_path):
    view = Watched(hs.CircuitGraph, embedded, capitals)
    view.follow("m3")
    assert view.wait(60)
    results = hs.load_report(view.save(tmp_path / "circuit.html"))
    assert [one.method for one in results] == ["edge_attribution", "path_patching", "path_patching"]
    np.testing.assert_array_equal(results[2].values, view.paths[1].values)
    view.close()


@pytest.mark.parametrize("damage", [b"\x00\xff", b"\xe9\x00\x80"])
def test_a_file_that_is_no_text_is_refused_in_a_sentence(tmp_path, damage):
    (tmp_path / "page.html").write_bytes(damage * 100)
    with pytest.raises(ValueError, match=r"page\.html is no page"):
        hs.load_report(tmp_path / "page.html")


@given(st.integers(0, 400), st.integers(0, 255))
def test_a_damaged_page_is_refused_in_a_sentence_or_read(at, byte):
    content = {"schema_version": 1, "shared": [], "views": [], "parts": []}
    packed = bytearray(gzip.compress(json.dumps(content).encode() + b" " * 600, mtime=0))
    packed[at % len(packed)] = byte
    text = f'<script type="application/gzip" id="hookscope-page">{b64encode(bytes(packed)).decode()}</script>'
    try:
        assert read_page(text) == []
    except ValueError as problem:
        assert "no page that Hookscope saved" in str(problem)


def test_json_that_is_nested_too_deeply_is_refused_in_a_sentence():
    packed = b64encode(gzip.compress(b"[" * 100_000)).decode()
    with pytest.raises(ValueError, match="no page that Hookscope saved"):
        read_page(f'<script type="application/gzip" id="hookscope-page">{packed}</script>')


@pytest.mark.parametrize("name", ["report.pdf", "report"])
def test_another_kind_of_file_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="no kind of file"):
        hs.Report(["x"]).save(tmp_path / name)


@pytest.mark.parametrize("parts", ["hello", {"a": 1}, None])
def test_a_report_has_a_list_of_parts(parts):
    with pytest.raises(ValueError, match="list of parts"):
        hs.Report(parts)


def test_a_folder_in_the_way_leaves_nothing_behind(tmp_path):
    (tmp_path / "report.html").mkdir()
    with pytest.raises(OSError):
        hs.Report(["x"]).save(tmp_path / "report.html")
    assert [one.name for one in tmp_path.iterdir()] == ["report.html"]


def test_direction_marks_in_markdown_have_no_effect(tmp_path):
    assert "\u202e" not in hs.Report(["a\u202eb"]).save(tmp_path / "r.html").read_text("utf-8")
