"""Activation patching without a notebook: where does the embedded model keep the country that it was asked about?"""

from __future__ import annotations

from pathlib import Path

import interp_backend as ib


def demo(out: Path) -> None:
    """Patch every layer and position, print the strongest cells, and write the result and a picture. Needs no network.

    Args:
        out: the folder that `result.json` and `map.png` are written to; made if it is not there.
    """
    model = ib.load_model()
    pair = ib.PromptPair(
        clean="The capital of Norway is",
        corrupt="The capital of Sweden is",
        clean_answer=" Oslo",
        corrupt_answer=" Stockholm",
    )
    print(f"{model.name}: {model.n_layers} layers, {model.n_heads} heads, {model.d_model} wide\n")
    result = ib.activation_patching(model, pair, activation="resid_pre", direction="denoise", top_k=10)

    print(f"{'':34}{'likeliest next':>14}{'probability':>13}{result.metric_label:>18}")
    for side, prompt in (("clean", pair.clean), ("corrupt", pair.corrupt)):
        top = result.top_runs[side]
        likeliest, difference = result.tokens[int(top.ids[0])], result.baselines[side]
        print(f"{side:10}{prompt:24}{likeliest:>14}{top.probs[0]:13.2f}{difference:18.2f}")

    print(f"\nActivation patching of resid_pre, clean into corrupt: {result.values.size} cells ", end="")
    print(f"in {result.provenance['seconds']:.2f} s. The five strongest:")
    cells = result.to_dataframe()
    strongest = cells.reindex(cells.normalized.abs().sort_values(ascending=False).index).head(5)
    strongest = strongest.round(2).rename(columns={"value": "logit difference", "normalized": "recovered"})
    print(strongest.drop(columns="state").to_string(index=False, float_format="{:.2f}".format))

    out.mkdir(parents=True, exist_ok=True)
    (out / "result.json").write_text(result.to_json(), encoding="utf-8")
    result.plot().savefig(out / "map.png", dpi=150)
    print(f"\nWritten: {out / 'result.json'} and {out / 'map.png'}")
    print("To patch by clicking, open the notebook:  hookscope lab  (in a clone: make lab)")
