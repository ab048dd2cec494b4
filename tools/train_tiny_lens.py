"""Train the tuned lens of the embedded model, on the text that the model was trained on.

python tools/train_tiny_lens.py                          # into interp_backend/pretrained/tuned_lens
python tools/train_tiny_lens.py --steps 20 --out build/lens  # a quick try
"""

import argparse
import random
from pathlib import Path

import torch

import interp_backend as ib
import tiny_model_data as data

DEFAULT_OUT = Path(__file__).resolve().parents[1] / "interp_backend" / "pretrained" / "tuned_lens"


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--steps", type=int, default=1000)
    options.add_argument("--out", type=Path, default=DEFAULT_OUT)
    chosen = options.parse_args()
    torch.set_num_threads(1)
    rng = random.Random(0)
    texts = [data.document(rng, sentences=4) for _ in range(4000)]
    ib.train_tuned_lens(ib.load_model(), texts, steps=chosen.steps).save(chosen.out)


if __name__ == "__main__":
    main()
