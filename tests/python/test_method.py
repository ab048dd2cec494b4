"""A method is one generator function: everything else about it follows from its signature, also in the widgets."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
from driven_widgets import Watched, ask, events
from pydantic import Field, ValidationError

import hookscope as hs
import interp_backend as ib
from hookscope.menus import offered
from interp_backend.common.method import METHODS, Call, method
from interp_backend.common.signatures import OneOf
from interp_backend.results.effect_map import EffectMap
from interp_backend.results.step import Step

ROOT = Path(__file__).parents[2]
SIGNS = {"plus": ("plus", "the effect as it is"), "minus": ("minus", "the effect with the other sign")}


@pytest.fixture
def toy():
    """A method that nobody asked for, as long as a test runs."""

    @method
    def toy(
        model: Any,
        pair: ib.PromptPair,
        *,
        activation: Annotated[str, OneOf({"resid_pre": ("", "")}, "activation")] = "resid_pre",
        metric: str | list[str] = "logit_diff",
        direction: str = "denoise",
        sign: Annotated[str, OneOf(SIGNS, "sign")] = "plus",
        times: Annotated[int, Field(ge=1, le=9)] = 1,
    ) -> Iterator[Step[EffectMap]]:
        """Measure an effect, and change its sign.

        Args:
            sign: which way round.
            times: how often the effect
                is counted.
        """
        for step in ib.activation_patching.steps(model, pair, activation=activation, metric=metric, layers=[0, 1]):
            result = step.result
            assert result is not None
            for measure in result.measures.values():
                measure.values *= times * (-1 if sign == "minus" else 1)
                times, sign = 1, "plus"
            result.params = {"axes": list(result.axes), "metric": result.params["metric"]}
            yield step

    yield toy
    del METHODS["toy"]


def test_a_call_gives_the_result_and_steps_stream_it(embedded, capitals, toy):
    steps = list(toy.steps(embedded, capitals))
    assert steps[-1].done == steps[-1].total and len(steps) > 1
    result = toy(embedded, capitals)
    assert isinstance(result, EffectMap) and result.method == "toy" == toy.name
    assert toy.result_type is EffectMap and toy.subject == "pair" and toy.summary.startswith("Measure an effect")


def test_a_result_names_its_method_and_all_of_its_arguments(embedded, capitals, toy):
    params = toy(embedded, capitals, times=3).params
    assert params == {
        "pair": capitals.model_dump(mode="json"),
        "activation": "resid_pre",
        "metric": "logit_diff",
        "direction": "denoise",
        "sign": "plus",
        "times": 3,
        "axes": ["layer", "position"],
    }


def test_its_request_is_checked_by_its_signature(toy):
    assert toy.request.model_validate({"times": 2}).model_dump() == {
        "activation": "resid_pre",
        "metric": "logit_diff",
        "direction": "denoise",
        "sign": "plus",
        "times": 2,
    }
    for wrong, sentence in [
        ({"times": 10}, "less than or equal to 9"),
        ({"sign": "times"}, "There is no sign 'times'. Choose one of plus, minus"),
        ({"model": "x"}, "Extra inputs"),
        ({"pair": {}}, "Extra inputs"),
    ]:
        with pytest.raises(ValidationError, match=sentence):
            toy.request.model_validate(wrong)


def test_its_schema_has_what_a_menu_needs(toy):
    sign, times = (toy.schema["properties"][name] for name in ("sign", "times"))
    assert [(one["const"], one["title"], one["description"]) for one in sign["oneOf"]] == [
        (name, *words) for name, words in SIGNS.items()
    ]
    assert (times["title"], times["description"]) == ("times", "how often the effect is counted.")
    assert (times["type"], times["minimum"], times["maximum"], times["default"]) == ("integer", 1, 9, 1)
    assert toy.request.__name__ == "ToyRequest"


def test_an_argument_outside_its_choices_is_refused_when_it_is_called(embedded, capitals, toy):
    for call in (toy, lambda *args, **options: next(toy.steps(*args, **options))):
        with pytest.raises(ValueError, match=r"There is no sign 'times'\. Choose one of plus, minus"):
            call(embedded, capitals, sign="times")
        with pytest.raises(TypeError, match="colour"):
            call(embedded, capitals, colour="red")


def test_its_code_has_what_differs_from_the_defaults(embedded, capitals, toy):
    code = toy.code(toy(embedded, capitals, times=3).params, "ib.load_model()")
    assert code == (
        "import interp_backend as ib\n\n"
        "model = ib.load_model()\n"
        "pair = ib.PromptPair(\n"
        "    clean='The capital of Norway is',\n"
        "    corrupt='The capital of Sweden is',\n"
        "    clean_answer=' Oslo',\n"
        "    corrupt_answer=' Stockholm',\n"
        ")\n"
        "result = ib.toy(\n"
        "    model,\n"
        "    pair,\n"
        "    times=3,\n"
        ")\n"
        "result.plot()\n"
    )


def test_calls_are_equal_if_they_would_give_the_same(embedded, capitals, toy):
    call = toy.call(embedded, capitals, times=1)
    assert (
        isinstance(call, Call)
        and call == toy.call(embedded, capitals)
        and hash(call) == hash(toy.call(embedded, capitals))
    )
    assert call != toy.call(embedded, capitals, times=2)
    assert call != toy.call(embedded, capitals.model_copy(update={"clean": "x"}))
    assert call.to_json()["method"] == "toy" and call.to_json()["params"]["times"] == 1


def test_a_heatmap_offers_runs_and_cancels_it(embedded, capitals, toy):
    assert list(offered()) == ["activation_patching", "attribution_patching", "toy"]
    heatmap = Watched(hs.PatchHeatmap, embedded, capitals)
    menu = next(entry for entry in heatmap.info["methods"] if entry["name"] == "toy")
    assert menu["label"] == "toy" and menu["help"] == toy.summary
    heatmap.method = "toy"
    assert heatmap.wait(60) and heatmap.error is None and heatmap.status == "done"
    assert heatmap.result.method == "toy" and heatmap.result.values.shape[0] == 2
    assert [field["name"] for field in heatmap.info["fields"]] == ["sign", "times"] and "ib.toy(" in heatmap.code
    ask(heatmap, "toy", times=4, metric="prob")
    assert heatmap.error is None and heatmap.options == {"times": 4} and heatmap.result.params["times"] == 4
    assert events(heatmap, "view:1")[0] == "accepted" and "partial" in events(heatmap, "view:1")
    read = EffectMap.from_json(heatmap.result.to_json())
    assert read.method == "toy" and read.params == heatmap.result.params
    np.testing.assert_array_equal(read.values, heatmap.result.values)
    ask(heatmap, "toy", id="view:2", times=10)
    assert heatmap.error["field"] == "times" and events(heatmap, "view:2") == ["error"]
    with embedded.lock:
        heatmap.options = {"times": 5}
        heatmap.cancel()
        assert heatmap.status == "cancelled"
    assert heatmap.wait(60) and heatmap.result.params["times"] == 4
    heatmap.close()


def test_a_method_that_is_gone_is_offered_no_more():
    assert "toy" not in METHODS and list(offered()) == ["activation_patching", "attribution_patching"]


def test_the_package_offers_every_method():
    assert {name for name in METHODS if getattr(ib, name, None) is not METHODS[name]} <= {"given_attention"}


TYPED = """
import interp_backend as ib

model = ib.load_model()
pair = ib.PromptPair(clean="a", corrupt="b")
reveal_type(ib.activation_patching(model, pair, activation="z"))
reveal_type(ib.logit_lens(model, pair))
reveal_type(ib.attention_patterns(model, "a"))
reveal_type(ib.direct_logit_attribution(model, "a", " b"))
for step in ib.activation_patching.steps(model, pair, activation="z"):
    reveal_type(step.result)
ib.activation_patching(model, pair, activations="z")
ib.activation_patching.steps(model, pair, activations="z")
ib.activation_patching(model, pair, window="wide")
ib.PromptPair("a", "b")
"""


def test_type_checkers_see_the_true_signature(tmp_path):
    file = tmp_path / "typed.py"
    file.write_text(TYPED, "utf-8")
    pyright = Path(sys.executable).with_name("pyright")
    ended = subprocess.run([pyright, file], capture_output=True, text=True, cwd=ROOT, check=False)
    said = re.findall(r"typed\.py:(\d+):\d+ - (\w+): (.*)", ended.stdout)
    revealed = {int(line): text.split(" is ")[1].strip('"') for line, kind, text in said if kind == "information"}
    assert list(revealed.values()) == [
        "EffectMap",
        "LogitLens",
        "AttentionPatterns",
        "Attribution",
        "EffectMap | None",
    ]
    errors = {int(line) for line, kind, _ in said if kind == "error"}
    lines = TYPED.splitlines()
    assert sorted(errors) == [
        at for at, line in enumerate(lines, 1) if "activations=" in line or "wide" in line or '"a", "b")' in line
    ]
