"""Load or wrap a language model with `load_model`.

A user's own model is never changed: no weights are folded, no flag is set, and no hook is left behind.
"""

from __future__ import annotations

import json
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .model import LanguageModel

PRETRAINED = Path(__file__).parents[1] / "pretrained"

# By the id of the raw model. The wrapper keeps the raw model alive, so no id is reused while its entry exists.
_wrapped: weakref.WeakValueDictionary[int, LanguageModel] = weakref.WeakValueDictionary()
_wrapping = threading.RLock()
_embedded: LanguageModel | None = None


def load_model(source: Any = None, *, device: str | None = None, allow_pickle: bool = False) -> LanguageModel:
    """Load or wrap a decoder-only language model.

    Args:
        source: None for the embedded model, which needs no network; a name that
            `TransformerBridge.boot_transformers` knows, such as `"gpt2"` (fetched from the model hub);
            a directory written by `save_pretrained`; or your own TransformerBridge or HookedTransformer, which is used
            as it is and never changed.
        device: the device to load a model on, for example `"cuda"`; by default the best available device.
        allow_pickle: whether to load a directory whose weights are pickled. Unpickling can run any code that the
            file's author put there, so set this only for files that you trust.

    Returns:
        A `LanguageModel`. The same raw model always gives the same object, so that all callers share its lock.

    Raises:
        ValueError: the name or directory can't be loaded, the weights are pickled and `allow_pickle` is not set, or the
            model is an encoder or encoder-decoder, is in training mode, or has no tokenizer.
        TypeError: the source is not a model.
    """
    global _embedded
    if isinstance(source, LanguageModel):
        return source
    if source is None and device is None:
        with _wrapping:
            if _embedded is None:
                with _no_progress_bar():  # loading is too fast for a progress bar
                    _embedded = _wrap(_boot(str(PRETRAINED), "cpu"), "hookscope-tiny", "ib.load_model()")
            return _embedded
    arguments = [repr(str(source))] if source is not None else []
    arguments += [f"device={device!r}"] if device else []
    arguments += ["allow_pickle=True"] if allow_pickle else []
    code = f"ib.load_model({', '.join(arguments)})"
    if source is None:
        return _wrap(_boot(str(PRETRAINED), device), "hookscope-tiny", code)
    if isinstance(source, (str, Path)):
        if Path(source).is_dir():
            _refuse_pickles(Path(source), allow_pickle)
            return _wrap(_boot(str(source), device), Path(source).resolve().name, code)
        if _is_path(source):
            raise ValueError(
                f"There is no directory {str(source)!r}. Give the path of a directory that save_pretrained wrote, or a "
                "name that the model hub knows."
            )
        return _wrap(_boot(str(source), device), str(source), code)
    return _wrap(source, str(getattr(getattr(source, "cfg", None), "model_name", None) or "model"), None)


def _is_path(source: str | Path) -> bool:
    """Whether this can't be a name on the model hub, where names are `model` or `owner/model`."""
    return isinstance(source, Path) or source.startswith(("/", ".", "~")) or "\\" in source or source.count("/") > 1


def _boot(source: str, device: str | None) -> Any:
    try:
        from transformer_lens.model_bridge import (
            TransformerBridge,
        )  # imported late: it is slow to import, and not always needed
    except ImportError:
        raise ImportError(
            "Loading a model needs TransformerLens 3 or newer. With an older one, load a HookedTransformer yourself "
            "and pass it to load_model."
        ) from None
    try:
        return TransformerBridge.boot_transformers(source, device=device)
    except Exception as problem:  # a damaged file can make its reader raise any error
        raise ValueError(
            f"Can't load a model from {source!r}: {problem} Give a name that the model hub knows (and be online, "
            "or have it in the cache), or a directory that save_pretrained wrote, with model and tokenizer."
        ) from problem


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _refuse_pickles(directory: Path, allow_pickle: bool) -> None:
    """Raise ValueError for a directory from which transformers would read anything but safetensors."""
    if allow_pickle or (directory / "model.safetensors").is_file():
        return
    index = directory / "model.safetensors.index.json"
    try:
        shards = set(json.loads(index.read_text("utf-8"))["weight_map"].values()) if index.is_file() else set()
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(f"{index} is damaged: it does not say which file contains which weight.") from None
    if not shards or not all(str(shard).endswith(".safetensors") for shard in shards):
        raise ValueError(
            f"{directory} has no weights in safetensors. Pickled ones are not read, since unpickling can run code: "
            "save the model again with save_pretrained, or pass allow_pickle=True if you trust where it comes from."
        )


def _wrap(raw: Any, name: str, code: str | None) -> LanguageModel:
    if not hasattr(raw, "hook_dict") or not hasattr(raw, "cfg"):
        raise TypeError(
            f"Can't make a model from {type(raw).__name__}. Give a name, a directory, a TransformerBridge "
            "or a HookedTransformer; a plain transformers model goes through "
            "TransformerBridge.boot_transformers(name, hf_model=model, tokenizer=tokenizer)."
        )
    if not hasattr(raw, "blocks") or getattr(raw.cfg, "attention_dir", "causal") != "causal":
        raise ValueError(
            "This is an encoder or an encoder-decoder, or its layers are not one stack. Hookscope works on "
            "decoder-only language models, which predict the next token, such as gpt2, llama, qwen and gemma."
        )
    if getattr(raw, "tokenizer", None) is None:
        raise ValueError("The model has no tokenizer, and prompts are text. Set model.tokenizer first.")
    with _wrapping:
        model = _wrapped.get(id(raw))
        if model is None:
            model = _wrapped[id(raw)] = LanguageModel(raw, name, code)
    model.refuse_training_mode()
    model.refuse_dtype()
    return model
