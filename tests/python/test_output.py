"""What a notebook keeps of a view for readers without a kernel, and results as files."""

from __future__ import annotations

import base64
import io
import json
import re
import subprocess
import sys
import uuid
from types import SimpleNamespace

import nbformat
import numpy as np
import pandas
import pytest
from defusedxml import ElementTree
from driven_widgets import Watched, ask
from jupyter_client.session import Session
from PIL import Image

import hookscope as hs
import hookscope.circuitsvis as cv
import interp_backend as ib
from hookscope import output

NOTEBOOK = (
    """
import hookscope as hs
model = hs.load_model()
pair = hs.PromptPair(
    clean="The capital of Norway is", corrupt="The capital of Sweden is",
    clean_answer=" Oslo", corrupt_answer=" Stockholm",
)
hs.PatchHeatmap(model, pair)
""",
    "hs.LogitLensGrid(model, pair)",
    "hs.CircuitGraph(model, pair)",
    "hs.Workbench(model, pair)",
)


@pytest.fixture
def heatmap(embedded, capitals):
    widget = Watched(hs.PatchHeatmap, embedded, capitals)
    yield widget
    widget.close()


def test_a_notebook_run_by_a_program_has_pictures(tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in NOTEBOOK])
    nbformat.write(notebook, tmp_path / "report.ipynb")
    command = [sys.executable, "-m", "nbconvert", "--to", "html", "--execute", "report.ipynb"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=300)
    page = (tmp_path / "report.html").read_text("utf-8")
    assert len(re.findall(r'<img[^>]*src="data:image/(webp|png);base64', page)) == len(NOTEBOOK)
    assert '<script type="application/vnd.jupyter.widget-view+json">' not in page


@pytest.fixture
def stored(monkeypatch):
    """In a kernel: the outputs by their ids, as a notebook would keep them."""
    outputs = {}

    def display(data, raw, metadata=None, display_id=False):
        name = f"output {len(outputs)}"
        outputs[name] = (data, metadata)
        return SimpleNamespace(display_id=name) if display_id else None

    def update(data, raw, metadata, display_id):
        outputs[display_id] = (data, metadata)

    monkeypatch.setattr("IPython.display.display", display)
    monkeypatch.setattr("IPython.display.update_display", update)
    monkeypatch.setattr(output, "_kernel", lambda: SimpleNamespace(get_parent=lambda channel: {}))
    return outputs


def test_a_picture_is_stored_below_every_view_once_for_each_result(heatmap, stored):
    ask(heatmap, "picture")
    assert stored == {}  # it is not displayed anywhere
    for _ in range(2):
        heatmap._ipython_display_()
    views = [stored["output 0"], stored["output 2"]]
    assert all("application/vnd.jupyter.widget-view+json" in data for data, _ in views)
    ask(heatmap, "picture")
    assert views == [stored["output 0"], stored["output 2"]]
    data, metadata = stored["output 1"]
    assert stored["output 3"][0] is data
    assert metadata == {"image/png": {"alt": "EffectMap: resid_pre, clean into corrupt, logit difference"}}
    assert data["text/plain"] == repr(heatmap.result) and len(json.dumps(data)) < 40_000
    assert Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).width > 300
    assert f'class="{heatmap._picture}"' in data["text/html"] and "<script" not in data["text/html"]
    ask(heatmap, "picture")
    assert stored["output 1"][0] is data
    heatmap.direction = "noise"
    assert heatmap.wait(60)
    ask(heatmap, "picture")
    assert stored["output 1"][0] is stored["output 3"][0] is not data


def test_a_workbench_stores_one_picture_of_all_its_views(embedded, capitals, stored):
    bench = hs.Workbench(embedded, capitals)
    bench._ipython_display_()
    assert bench.wait(60)
    ask(bench.panels[1], "picture")
    data, metadata = stored["output 1"]
    assert len(stored) == 2 and data["text/html"].count("<img") == 1
    assert re.findall(r"\w+(?=: )", metadata["image/png"]["alt"])[0] == "EffectMap"
    assert [len(panel.pictured()) for panel in bench.panels[1:]] == [1, 1, 1]
    assert data["text/plain"].count("\n") > len(repr(bench.panels[1].result).splitlines())
    bench.close()


def test_what_a_picture_says_can_not_end_its_tag(heatmap, monkeypatch):
    monkeypatch.setattr(ib.EffectMap, "headline", lambda result: '"><script>alert(1)</script>')
    data, _ = heatmap._output([heatmap.result])
    assert "<script" not in data["text/html"] and 'alt="EffectMap: &quot;&gt;&lt;script' in data["text/html"]


def test_a_very_large_picture_is_not_stored(heatmap, monkeypatch):
    monkeypatch.setattr(output, "LARGEST", 100)
    assert heatmap._output([heatmap.result]) == ({"text/plain": repr(heatmap.result)}, {})


def test_programs_are_told_by_the_names_of_their_messages(monkeypatch):
    def running(name):
        kernel = type("Kernel", (), {"get_parent": lambda self, channel: {"header": {"msg_id": name}}})()
        shell = type("Shell", (), {"kernel": kernel})()
        monkeypatch.setattr("IPython.get_ipython", lambda: shell)
        return output.nobody_watches()

    ours = Session().msg_header("execute_request")["msg_id"]
    assert running(ours) and not running(str(uuid.uuid4()))
    with monkeypatch.context() as colab:
        colab.setitem(sys.modules, "google.colab", SimpleNamespace())
        assert not running(ours)
    monkeypatch.setenv("SERVER_SOFTWARE", "voila/0.5.8")
    assert not running(ours)


def test_colab_is_told_which_widget_manager_to_load(heatmap, stored, monkeypatch):
    widgets = SimpleNamespace(_installed_url="https://colab.test/manager.js")
    colab = SimpleNamespace(enable_custom_widget_manager=lambda: None, _widgets=widgets)
    monkeypatch.setitem(sys.modules, "google.colab.output", colab)
    heatmap._ipython_display_()
    data, metadata = stored["output 0"]
    kind = "application/vnd.jupyter.widget-view+json"
    assert kind in data and metadata[kind]["colab"]["custom_widget_manager"] == {"url": widgets._installed_url}


def test_a_figure_of_circuitsvis_is_stored_whole_by_a_program(monkeypatch):
    stored = []
    monkeypatch.setattr("IPython.display.display", lambda data, **how: stored.append(data))
    monkeypatch.setattr(output, "nobody_watches", lambda: True)
    cv.tokens.colored_tokens(["a", " b"], [0.5, -1.0])._ipython_display_()
    assert len(stored) == 1 and "<iframe" in stored[0]["text/html"] and "widget-view" not in str(stored[0].keys())


def test_outside_a_kernel_nothing_is_waited_for():
    assert not output.nobody_watches()


@pytest.mark.parametrize("kind", ["svg", "png", "pdf"])
def test_pictures_have_the_width_that_was_asked_for(heatmap, tmp_path, kind):
    path = heatmap.save(tmp_path / f"map.{kind}", width=3.3)
    content = path.read_bytes()
    if kind == "svg":
        width = float(ElementTree.fromstring(content).get("width").removesuffix("pt")) / 72
    elif kind == "png":
        width = Image.open(io.BytesIO(content)).width / 300
    else:
        width = float(re.search(rb"/MediaBox \[ ?0 0 ([\d.]+)", content).group(1)) / 72
    assert width == pytest.approx(3.3, abs=0.02)


def test_text_of_an_svg_is_text_of_the_size_that_was_asked_for(heatmap, tmp_path):
    page = heatmap.save(tmp_path / "map.svg", font_size=11).read_text("utf-8")
    texts = list(ElementTree.fromstring(page).iter("{http://www.w3.org/2000/svg}text"))
    assert "\u2423Norway" in "".join(text.text or "" for text in texts)
    sizes = [float(re.search(r"([\d.]+)px", text.get("style")).group(1)) for text in texts]
    assert np.median(sizes) == pytest.approx(11)
    assert page == heatmap.save(tmp_path / "again.svg", font_size=11).read_text("utf-8")


def test_a_table_and_json_are_the_results_own(heatmap, tmp_path):
    table = pandas.read_csv(heatmap.save(tmp_path / "map.csv"))
    expected = heatmap.result.to_dataframe()
    assert list(table.columns) == list(expected.columns) and len(table) == 24
    np.testing.assert_allclose(table["normalized"], expected["normalized"])
    again = ib.read_result(heatmap.save(tmp_path / "map.json").read_text("utf-8"))
    np.testing.assert_array_equal(again.values, heatmap.result.values)


def test_no_text_of_a_table_is_a_formula(embedded, tmp_path):
    pair = hs.PromptPair(
        clean="=1+1 is Norway", corrupt="=1+1 is Sweden", clean_answer=" Oslo", corrupt_answer=" Stockholm"
    )
    path = ib.activation_patching(embedded, pair).save(tmp_path / "map.csv")
    tokens = pandas.read_csv(path, dtype=str)["token"]
    assert tokens.str.startswith("'=").any() and not tokens.str.match("[=+@-]").any()


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("map.doc", {}, "map.doc"),
        ("map", {}, "says no kind of file"),
        ("map.svg", {"width": 0}, "width"),
        ("map.svg", {"font_size": -3}, "font_size"),
    ],
)
def test_what_can_not_be_saved_gets_a_sentence_and_no_file(heatmap, tmp_path, name, options, says):
    with pytest.raises(ValueError, match=says):
        heatmap.save(tmp_path / name, **options)
    assert list(tmp_path.iterdir()) == []


def test_a_result_without_a_picture_says_what_else_it_can_be_saved_as(embedded, tmp_path):
    scores = ib.head_scores(embedded)
    with pytest.raises(ValueError, match=r"Save it as \.csv or \.json"):
        scores.save(tmp_path / "scores.svg")
    assert len(pandas.read_csv(scores.save(tmp_path / "scores.csv"))) == 16


def test_a_view_gets_files_from_the_kernel(heatmap):
    ask(heatmap, "file", "view:1", format="svg")
    ask(heatmap, "file", "view:2", format="json")
    files = [event for event in heatmap.sent if event["event"] == "file"]
    assert [(event["id"], event["format"]) for event in files] == [("view:1", "svg"), ("view:2", "json")]
    assert ElementTree.fromstring(files[0]["text"]).tag.endswith("svg")
    assert ib.read_result(files[1]["text"]).method == "activation_patching"
    ask(heatmap, "file", "view:4", format="png")
    assert Image.open(io.BytesIO(base64.b64decode(heatmap.sent[-2]["text"]))).width > 300
    ask(heatmap, "file", "view:3", format="exe")
    assert heatmap.error["field"] == "format"
