"""Reading transcoders and sparse autoencoders in the layouts in which people share them."""

from __future__ import annotations

import re
from pathlib import Path

from ..loading import PRETRAINED
from ..transcoders import Transcoders
from . import circuit_tracer, gpt2_clts, gpt2_transcoders, saelens, sparsecoder, sparsify
from .stored import first_line, stored

REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+(/[\w./-]+)?(@[\w./-]+)?")
EMBEDDED = PRETRAINED / "transcoders"
KNOWN = "config.yaml, layer_i.safetensors, encoder_layer_i.safetensors, cfg.json or .pt files"


def load_transcoders(source: str | Path | None = None, *, centred: bool | None = None) -> Transcoders:
    """Open transcoders or sparse autoencoders. Their matrices stay in their files until rows of them are needed.

    Read are the layouts of circuit-tracer (per-layer and cross-layer), `pchlenski/gpt2-transcoders`,
    `mntss/sparsecoder-sweep-gpt2`, `ctigges/gpt2-clts`, EleutherAI's sparsify and SAELens. Only tensors and plain
    configurations are read: no code in a file can run.

    Args:
        source: None for those of the embedded model; a directory; for gpt2-transcoders also one `.pt` file; or a
            repository on the model hub, `"owner/name"`, perhaps with a folder and a revision:
            `"owner/name/folder@revision"`. Only then is anything fetched, by `huggingface_hub`.
        centred: whether the coders were made for a model with centred weights; by default what the files say, or what
            their makers' software does.

    Raises:
        ValueError: there is no such directory, the layout is unknown, a file is missing or damaged, or holds something
            that can't be read exactly.
    """
    path = EMBEDDED if source is None else Path(source).expanduser()
    if path.is_file():
        if path.suffix != ".pt":
            raise ValueError(f"{path.name} is one file of a set. Give the directory that it is in.")
        found = gpt2_transcoders.read([path], path.stem)
    elif path.is_dir():
        found = _read(path.resolve(), centred)
    elif isinstance(source, str) and not source.startswith((".", "/", "~")) and REPOSITORY.fullmatch(source):
        found = _read(_fetched(source), centred)
    else:
        raise ValueError(
            f"There is no directory {str(source)!r}. Give a directory with transcoders, or a repository on the model "
            'hub: "owner/name".'
        )
    return found


def _read(directory: Path, centred: bool | None) -> Transcoders:
    if (directory / "config.yaml").is_file():
        return circuit_tracer.read(directory)
    if any(circuit_tracer.numbered(directory, stem) for stem in ("encoder_layer", "layer")):
        return sparsecoder.read(directory)
    for file, reader in (("sae.safetensors", sparsify), ("sae_weights.safetensors", saelens)):
        found = (
            [directory] if (directory / file).is_file() else sorted(one.parent for one in directory.glob(f"*/{file}"))
        )
        if found and reader is saelens:
            return saelens.read(found, directory.name, centred)
        if found:
            return sparsify.read(found, directory.name)
    if (directory / "cfg.json").is_file():
        files = [*directory.glob("*.safetensors")]
        if len(files) == 1 and any(name.startswith("encoder_module.") for name in stored(files[0]).shapes):
            return gpt2_clts.read(directory)
    if pickles := sorted(directory.glob("*.pt")):
        return gpt2_transcoders.read(pickles, directory.name)
    raise ValueError(f"{directory} has no transcoders in a layout that Hookscope knows: no {KNOWN}.")


def _fetched(source: str) -> Path:
    """The directory of a repository on the model hub, downloaded or from the cache."""
    from huggingface_hub import snapshot_download

    whole, _, revision = source.partition("@")
    owner, name, *folders = whole.strip("/").split("/")
    folder = "/".join(folders)
    inside = f"{folder}/" if folder else ""
    patterns = [f"{inside}*.{kind}" for kind in ("safetensors", "json", "yaml", "pt")] + ["norm_stats.json"]
    try:
        root = snapshot_download(f"{owner}/{name}", revision=revision or None, allow_patterns=patterns)
    except Exception as problem:  # the hub's client raises many kinds of errors
        raise ValueError(
            f"There is no directory {source!r}, and no such repository can be had from the model hub: "
            f"{first_line(problem)}. Check the name, and be online."
        ) from None
    return Path(root) / folder
