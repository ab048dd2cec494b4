"""Activation patching without a notebook: where does the embedded model keep the country that it was asked about?

Sweeps activation patching over every layer and position, prints the strongest cells, and writes the result
and a picture to build/demo/. Needs no network.
"""

from pathlib import Path

import torch

import hookscope as hs
import interp_backend as ib


def main() -> None:
    model = hs.load_model()
    pair = hs.PromptPair(
        clean="The capital of Norway is",
        corrupt="The capital of Sweden is",
        clean_answer=" Oslo",
        corrupt_answer=" Stockholm",
    )
    print(f"{model.name}: {model.n_layers} layers, {model.n_heads} heads, {model.d_model} wide")
    print(f"clean    {pair.clean!r} -> {pair.clean_answer!r}")
    print(f"corrupt  {pair.corrupt!r} -> {pair.corrupt_answer!r}\n")

    print("Logits at the last position")
    print(f"{'':10}{pair.clean_answer:>12}{pair.corrupt_answer:>12}")
    answers = [model.answer_ids(answer)[0] for answer in (pair.clean_answer, pair.corrupt_answer)]
    for side, prompt in (("clean", pair.clean), ("corrupt", pair.corrupt)):
        with torch.no_grad():
            logits = model.raw(prompt)[0, -1, answers]
        print(f"{side:10}{logits[0]:12.2f}{logits[1]:12.2f}")

    result = ib.activation_patching(model, pair, activation="resid_pre", direction="denoise", top_k=10)
    print(f"\nActivation patching of resid_pre, clean into corrupt: {result.values.size} cells ", end="")
    print(f"in {result.provenance['seconds']:.2f} s. The five strongest:")
    cells = result.to_dataframe()
    strongest = cells.reindex(cells.normalized.abs().sort_values(ascending=False).index).head(5)
    strongest = strongest.round(2).rename(columns={"value": "logit difference", "normalized": "recovered"})
    print(strongest.drop(columns="state").to_string(index=False, float_format="{:.2f}".format))

    out = Path("build/demo")
    out.mkdir(parents=True, exist_ok=True)
    (out / "result.json").write_text(result.to_json(), encoding="utf-8")
    result.plot().savefig(out / "map.png", dpi=150)
    print(f"\nWritten: {out / 'result.json'} and {out / 'map.png'}")
    print("To patch by clicking, open the notebook:  make lab")


if __name__ == "__main__":
    main()
