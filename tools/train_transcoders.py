"""Train transcoders, by default those of the embedded model on the text that the model was trained on.

python tools/train_transcoders.py                                # into interp_backend/pretrained/transcoders
python tools/train_transcoders.py --steps 20 --out build/tc      # a quick try
python tools/train_transcoders.py --model smollm2-135m --texts book.txt --layers 3 4 --features 4608 --out build/tc
python tools/train_transcoders.py --model smollm2-135m --texts pydoc --layers 0 1 2 --cross-layer --out build/clt

The text “pydoc” is Python's own reference, as the standard library carries it (PSF licence).
"""

import argparse
import random
import time
from pathlib import Path
from pydoc_data.topics import topics

import torch

import interp_backend as ib
import tiny_model_data as data

DEFAULT_OUT = Path(__file__).resolve().parents[1] / "interp_backend" / "pretrained" / "transcoders"


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--model", help="a model that load_model knows; by default the embedded one")
    options.add_argument("--texts", help="a text file whose paragraphs to train on, or “pydoc”")
    options.add_argument("--features", type=int, default=640)
    options.add_argument("--active", type=int, default=20)
    options.add_argument("--layers", type=int, nargs="*")
    options.add_argument("--cross-layer", action="store_true", help="features write into all later layers too")
    options.add_argument("--steps", type=int, default=2500)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--half", action="store_true", help="write 16-bit numbers, as for the embedded model")
    options.add_argument("--out", type=Path, default=DEFAULT_OUT)
    chosen = options.parse_args()
    torch.set_num_threads(chosen.threads)
    model = ib.load_model(chosen.model)
    texts = paragraphs(chosen.texts) if chosen.texts else texts_of_the_embedded_model(model, 6000)
    began = time.perf_counter()
    found = ib.train_transcoders(
        model,
        texts,
        features=chosen.features,
        active=chosen.active,
        layers=chosen.layers,
        cross_layer=chosen.cross_layer,
        steps=chosen.steps,
    )
    print(found.fit)
    print(f"{(time.perf_counter() - began) / 60:.1f} minutes")
    found.save(chosen.out, torch.float16 if chosen.half or chosen.model is None else torch.float32)


def paragraphs(name: str) -> list[str]:
    """The paragraphs of a text file, or of Python's reference."""
    text = "\n\n".join(topics.values()) if name == "pydoc" else Path(name).read_text("utf-8")
    return text.split("\n\n")


def texts_of_the_embedded_model(model: ib.LanguageModel, count: int, seed: int = 0) -> list[str]:
    """Documents of the model's training, and for a third random tokens that are repeated."""
    rng = random.Random(seed)
    tokenizer = model.raw.tokenizer
    ordinary = [token for token in range(len(tokenizer)) if token not in tokenizer.all_special_ids]
    texts = []
    for _ in range(count):
        if rng.random() < 1 / 3:
            texts.append(tokenizer.decode(data.repeated_tokens(rng, ordinary, 80)[0]))
        else:
            texts.append(data.document(rng, sentences=4))
    return texts


if __name__ == "__main__":
    main()
