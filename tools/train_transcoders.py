"""Train transcoders, by default those of the embedded model on the text that the model was trained on.

python tools/train_transcoders.py                                # into interp_backend/pretrained/transcoders
python tools/train_transcoders.py --steps 20 --out build/tc      # a quick try
python tools/train_transcoders.py --model smollm2-135m --texts book.txt --layers 3 4 --features 4608 --out build/tc
"""

import argparse
import random
from pathlib import Path

import torch

import interp_backend as ib
import tiny_model_data as data

DEFAULT_OUT = Path(__file__).resolve().parents[1] / "interp_backend" / "pretrained" / "transcoders"


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--model", help="a model that load_model knows; by default the embedded one")
    options.add_argument("--texts", type=Path, help="a text file whose paragraphs to train on")
    options.add_argument("--features", type=int, default=640)
    options.add_argument("--active", type=int, default=20)
    options.add_argument("--layers", type=int, nargs="*")
    options.add_argument("--steps", type=int, default=2500)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--half", action="store_true", help="write 16-bit numbers, as for the embedded model")
    options.add_argument("--out", type=Path, default=DEFAULT_OUT)
    chosen = options.parse_args()
    torch.set_num_threads(chosen.threads)
    model = ib.load_model(chosen.model)
    texts = chosen.texts.read_text("utf-8").split("\n\n") if chosen.texts else texts_of_the_embedded_model(model, 6000)
    found = ib.train_transcoders(
        model, texts, features=chosen.features, active=chosen.active, layers=chosen.layers, steps=chosen.steps
    )
    found.save(chosen.out, torch.float16 if chosen.half or chosen.model is None else torch.float32)
    print(found.fit)


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
