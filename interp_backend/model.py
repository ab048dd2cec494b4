"""A language model as the methods see it: names, tokens, blocks, what is folded, which hooks work.

`load_model` is the one way in. It never changes a model that a user hands in: no weights are folded, no
flag is set, no hook is left behind.
"""

from __future__ import annotations

import json
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

PRETRAINED = Path(__file__).parent / "pretrained"

Hook = Callable[..., Any]


@dataclass(frozen=True)
class Activation:
    """One kind of activation: its TransformerLens name within a block and how it is indexed."""

    hook: str
    per_head: bool
    help: str


ACTIVATIONS: dict[str, Activation] = {
    "resid_pre": Activation("hook_resid_pre", False, "the residual stream as it enters the block"),
    "resid_mid": Activation("hook_resid_mid", False, "the residual stream between attention and MLP"),
    "resid_post": Activation("hook_resid_post", False, "the residual stream as it leaves the block"),
    "attn_out": Activation("hook_attn_out", False, "what the attention layer writes"),
    "mlp_out": Activation("hook_mlp_out", False, "what the MLP writes"),
    "z": Activation("attn.hook_z", True, "each head's mixed values, before the output matrix"),
}

# Kinds that are only checked for being dead so far; patching them comes with the executor's own issue.
_CHECKED = {
    **{name: activation.hook for name, activation in ACTIVATIONS.items()},
    "q": "attn.hook_q",
    "k": "attn.hook_k",
    "v": "attn.hook_v",
    "pattern": "attn.hook_pattern",
    "attn_scores": "attn.hook_attn_scores",
    "mlp_post": "mlp.hook_post",
}


class LanguageModel:
    """A decoder-only language model, wrapped but never changed. Made by `load_model`.

    Attributes:
        raw: the TransformerBridge or HookedTransformer itself.
        name: what to call it.
        lock: held for the whole of a method, because hooks are global state of a model. One lock a raw
            model, however often it is wrapped; re-entrant within a thread.
        pass_lock: held for one pass at a time; see `turn.py`.
    """

    def __init__(self, raw: Any, name: str):
        self.raw = raw
        self.name = name
        self.lock = threading.RLock()
        self.pass_lock = threading.Lock()
        self._token_texts: dict[int, str] = {}
        self._tokenizer_lock = threading.Lock()  # fast tokenizers raise "already borrowed" across threads

    def __repr__(self) -> str:
        return (
            f"LanguageModel({self.name!r}, {self.n_layers} layers, {self.n_heads} heads, "
            f"{self.d_model} wide, weights {self.weights}, {self.device})"
        )

    # What the model is

    @property
    def n_layers(self) -> int:
        return int(self.raw.cfg.n_layers)

    @property
    def n_heads(self) -> int:
        return int(self.raw.cfg.n_heads)

    @property
    def d_model(self) -> int:
        return int(self.raw.cfg.d_model)

    @property
    def n_ctx(self) -> int:
        """The most tokens that a prompt can have."""
        return int(self.raw.cfg.n_ctx)

    @property
    def device(self) -> torch.device:
        return next(self.raw.parameters()).device

    @property
    def dtype(self) -> str:
        return str(next(self.raw.parameters()).dtype).removeprefix("torch.")

    @property
    def architecture(self) -> str:
        cfg = self.raw.cfg
        return str(getattr(cfg, "architecture", None) or getattr(cfg, "original_architecture", None) or "")

    @property
    def weights(self) -> str:
        """ "folded" where LayerNorm is folded into the weights (they are then also centred), else "as trained"."""
        processed = getattr(self.raw, "_weights_processed", None)  # TransformerBridge
        if processed is None:  # HookedTransformer says it in the name of its norm
            processed = str(getattr(self.raw.cfg, "normalization_type", "")).endswith("Pre")
        return "folded" if processed else "as trained"

    def describe(self) -> dict[str, Any]:
        """What a view or a result says about the model."""
        return {
            "name": self.name,
            "architecture": self.architecture,
            "n_layers": self.n_layers,
            "n_heads": self.n_heads,
            "d_model": self.d_model,
            "n_ctx": self.n_ctx,
            "device": str(self.device),
            "dtype": self.dtype,
            "weights": self.weights,
        }

    def refuse_training_mode(self) -> None:
        """Raise ValueError while dropout is live: two runs of one prompt would differ."""
        if getattr(self.raw, "original_model", self.raw).training:
            raise ValueError(
                "The model is in training mode, so dropout makes every run different. "
                "Put it in evaluation mode first: model.eval()."
            )

    # Tokens

    def to_ids(self, prompt: str) -> list[int]:
        """Token ids of a prompt, with the beginning-of-text token where the model expects one, never truncated."""
        with self._tokenizer_lock:
            return [int(i) for i in self.raw.to_tokens(prompt, truncate=False)[0]]

    def answer_ids(self, answer: str, after: str = "") -> list[int]:
        """Token ids of text that continues a prompt: no special tokens are added.

        Some tokenizers (Llama 2's) put a space before any text, so that an answer by itself has one token more than it
        has after its prompt. So it is tokenised with the prompt, unless the two run together into other tokens.
        """
        if after:
            prompt, whole = self.to_ids(after), self.to_ids(after + answer)
            if len(whole) > len(prompt) and whole[: len(prompt)] == prompt:
                return whole[len(prompt) :]
        with self._tokenizer_lock:
            return [int(i) for i in self.raw.tokenizer(answer, add_special_tokens=False)["input_ids"]]

    def token_text(self, token: int) -> str:
        """The text of one token, its leading space kept; bytes that are no whole character as `\\xe2`."""
        if token not in self._token_texts:
            with self._tokenizer_lock:
                self._token_texts[token] = _token_text(self.raw.tokenizer, token)
        return self._token_texts[token]

    def token_texts(self, tokens: list[int]) -> list[str]:
        return [self.token_text(token) for token in tokens]

    @property
    def bos(self) -> tuple[int, str] | None:
        """Id and text of the beginning-of-text token, if the tokenizer has one."""
        tokenizer = self.raw.tokenizer
        if tokenizer.bos_token_id is None:
            return None
        return int(tokenizer.bos_token_id), str(tokenizer.bos_token)

    # Hooks

    def hook_name(self, activation: str, layer: int) -> str:
        return f"blocks.{layer}.{_CHECKED[activation]}"

    def hook_handles(self, *, temporary: bool = False) -> frozenset[int]:
        """All hooks on hook points, told apart by identity; or those alone that were not added to stay."""
        points = self.raw.hook_dict.values()
        handles = (handle for point in points for handle in point.fwd_hooks)
        return frozenset(id(handle) for handle in handles if not (temporary and handle.is_permanent))

    def users_hooks(self) -> list[str]:
        """Names of hook points and modules that carry hooks of a user's own; they act on every run."""
        points = self.raw.hook_dict.values()
        carrying = {
            str(p.name) for p in points if any(_is_users(getattr(handle, "user_hook", None)) for handle in p.fwd_hooks)
        }
        for name, module in self.raw.named_modules():
            if hasattr(module, "fwd_hooks"):
                continue  # a hook point, counted above
            if any(map(_is_users, [*module._forward_hooks.values(), *module._forward_pre_hooks.values()])):
                carrying.add(name or "the model itself")
        return sorted(carrying)

    @cached_property
    def unavailable(self) -> dict[str, str]:
        """Activations that this model does not have, each with a sentence that says why and what to use."""
        missing = {}
        for name in ACTIVATIONS:
            layers = [i for i in range(self.n_layers) if self.hook_name(name, i) not in self.raw.hook_dict]
            if not layers:
                continue
            if name == "resid_mid":
                missing[name] = (
                    "Attention and MLP run side by side in this model, so there is no residual stream "
                    "between them. Use resid_pre, attn_out or mlp_out."
                )
            else:
                missing[name] = (
                    f"This model has no {name} in layer {layers[0]}. Choose another activation, for example resid_pre."
                )
        return missing

    @cached_property
    def dead_hooks(self) -> list[str]:
        """Activations whose edits never reach the logits, so that patching them would show a false zero.

        Found by experiment: each activation is disturbed in every layer at once in a run of four tokens,
        and the logits compared. On gpt_neo, gptj and opt TransformerLens discards edits to the attention
        pattern, for example.
        """
        tokens = torch.arange(4, device=self.device)[None] % int(self.raw.cfg.d_vocab)
        with self.lock, torch.no_grad():
            undisturbed = self.raw(tokens)
            return [name for name in _CHECKED if not self._reaches_logits(name, tokens, undisturbed)]

    def _reaches_logits(self, activation: str, tokens: torch.Tensor, undisturbed: torch.Tensor) -> bool:
        def disturb(value: torch.Tensor, hook: Any) -> torch.Tensor:
            # Each entry by another amount: a uniform shift is invisible to softmax and LayerNorm.
            shift = torch.linspace(0.1, 1.0, value.numel(), device=value.device, dtype=value.dtype)
            return value.add_(shift.view_as(value))

        names = [self.hook_name(activation, i) for i in range(self.n_layers)]
        names = [name for name in names if name in self.raw.hook_dict]
        if not names:
            return True  # that is `unavailable`, not dead
        with self.raw.hooks(fwd_hooks=[(name, disturb) for name in names]):
            return not torch.equal(self.raw(tokens), undisturbed)


def _is_users(hook: Any) -> bool:
    """Whether a hook is a user's: TransformerLens and transformers wire some of their own, some at a first run."""
    module = getattr(hook, "__module__", None) or type(hook).__module__
    return module.split(".")[0] not in ("transformer_lens", "transformers", "accelerate", "torch", "interp_backend")


# By id of the raw model, which its wrapper keeps alive: an entry and its key go together.
_wrapped: weakref.WeakValueDictionary[int, LanguageModel] = weakref.WeakValueDictionary()
_wrapping = threading.RLock()
_embedded: LanguageModel | None = None


def load_model(source: Any = None, *, device: str | None = None, allow_pickle: bool = False) -> LanguageModel:
    """Load or wrap a decoder-only language model.

    Args:
        source: nothing, for the embedded model (no network); a name that
            `TransformerBridge.boot_transformers` knows, such as `"gpt2"` (fetched from the model hub);
            a directory written by `save_pretrained`; or a TransformerBridge or HookedTransformer that you
            already have, which is used as it is and never changed.
        device: where a model that is loaded goes, for example `"cuda"`; the best there is by default.
        allow_pickle: load a directory whose weights are pickled. Unpickling can run any code that the
            file's author wished: only for files that you trust.

    Returns:
        A `LanguageModel`; the same object for the same raw model, so that all share its lock.

    Raises:
        ValueError: a name or directory that can't be loaded, pickled weights without `allow_pickle`, an encoder or
            encoder-decoder, a model in training mode, or a model without a tokenizer.
        TypeError: something that is no model.
    """
    global _embedded
    if isinstance(source, LanguageModel):
        return source
    if source is None and device is None:
        with _wrapping:
            if _embedded is None:
                with _no_progress_bar():  # it takes no time worth a bar
                    _embedded = _wrap(_boot(str(PRETRAINED), "cpu"), "hookscope-tiny")
            return _embedded
    if source is None:
        return _wrap(_boot(str(PRETRAINED), device), "hookscope-tiny")
    if isinstance(source, (str, Path)):
        if Path(source).is_dir():
            _refuse_pickles(Path(source), allow_pickle)
            return _wrap(_boot(str(source), device), Path(source).resolve().name)
        return _wrap(_boot(str(source), device), str(source))
    return _wrap(source, str(getattr(getattr(source, "cfg", None), "model_name", None) or "model"))


def _boot(source: str, device: str | None) -> Any:
    try:
        from transformer_lens.model_bridge import TransformerBridge  # slow to import, and not always needed
    except ImportError:
        raise ImportError(
            "Loading a model needs TransformerLens 3 or newer. With an older one, load a HookedTransformer yourself "
            "and hand it to load_model."
        ) from None
    try:
        return TransformerBridge.boot_transformers(source, device=device)
    except Exception as problem:  # whatever a damaged file makes its reader raise
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
    """Refuse a directory from which transformers would read anything but safetensors."""
    if allow_pickle or (directory / "model.safetensors").is_file():
        return
    index = directory / "model.safetensors.index.json"
    try:
        shards = set(json.loads(index.read_text("utf-8"))["weight_map"].values()) if index.is_file() else set()
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(f"{index} is damaged: it does not say which file holds which weight.") from None
    if not shards or not all(str(shard).endswith(".safetensors") for shard in shards):
        raise ValueError(
            f"{directory} has no weights in safetensors. Pickled ones are not read, since unpickling can run code: "
            "save the model again with save_pretrained, or pass allow_pickle=True if you trust where it comes from."
        )


def _wrap(raw: Any, name: str) -> LanguageModel:
    if not hasattr(raw, "hook_dict") or not hasattr(raw, "cfg"):
        raise TypeError(
            f"Can't make a model from {type(raw).__name__}. Give a name, a directory, a TransformerBridge "
            "or a HookedTransformer; a plain transformers model goes through "
            "TransformerBridge.boot_transformers(name, hf_model=model, tokenizer=tokenizer)."
        )
    if not hasattr(raw, "blocks") or getattr(raw.cfg, "attention_dir", "causal") != "causal":
        raise ValueError(
            "This is an encoder or an encoder-decoder. Hookscope works on decoder-only language models, "
            "which predict the next token: gpt2, llama, qwen, gemma and their like."
        )
    if getattr(raw, "tokenizer", None) is None:
        raise ValueError("The model has no tokenizer, and prompts are text. Set model.tokenizer first.")
    with _wrapping:
        model = _wrapped.get(id(raw))
        if model is None:
            model = _wrapped[id(raw)] = LanguageModel(raw, name)
    model.refuse_training_mode()
    return model


def _token_text(tokenizer: Any, token: int) -> str:
    piece = tokenizer.convert_ids_to_tokens(token)
    if piece is None:  # rows of the unembedding that no token has
        return f"<{token}>"
    if token in tokenizer.all_special_ids:
        return str(piece)
    if "ByteLevel" in str(getattr(getattr(tokenizer, "backend_tokenizer", None), "decoder", "")):
        known = all(character in _BYTE_OF for character in piece)
        if known:
            return bytes(_BYTE_OF[character] for character in piece).decode("utf-8", "backslashreplace")
    if "\u2581" in piece:  # sentencepiece writes a space so, and drops it when it decodes a lone token
        return str(piece).replace("\u2581", " ")
    return str(tokenizer.decode([token]))


def _byte_table() -> dict[str, int]:
    """Which byte each character of a byte-level BPE vocabulary stands for (GPT-2's printable alphabet)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    table = {chr(byte): byte for byte in printable}
    return table | {chr(0x100 + i): byte for i, byte in enumerate(others)}


_BYTE_OF = _byte_table()
