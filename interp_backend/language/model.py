"""The language model that methods work with: its names, tokens, layers, weights and working hooks."""

from __future__ import annotations

import hashlib
import re
import threading
import weakref
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch

Hook = Callable[..., Any]


@dataclass(frozen=True)
class Activation:
    """One kind of activation: its TransformerLens name within a block and how it is indexed.

    Attributes:
        hook: the hook point within a block.
        help: a description in a few words.
        per_head: whether it has an axis of heads: [position, head, ...]; a pattern is [head, position, source].
        entries: whether the entries of its last axis can be patched alone: neurons, or source positions of a pattern.
        pattern: whether it is attention weights; `position` is then the destination.
    """

    hook: str
    help: str
    per_head: bool = False
    entries: bool = False
    pattern: bool = False


ACTIVATIONS: dict[str, Activation] = {
    "embed": Activation("hook_embed", "the token embeddings, before any block"),
    "resid_pre": Activation("hook_resid_pre", "the residual stream as it enters the block"),
    "resid_mid": Activation("hook_resid_mid", "the residual stream between attention and MLP"),
    "resid_post": Activation("hook_resid_post", "the residual stream as it leaves the block"),
    "attn_out": Activation("hook_attn_out", "what the attention layer writes"),
    "mlp_out": Activation("hook_mlp_out", "what the MLP writes"),
    "mlp_post": Activation("mlp.hook_post", "the MLP's neurons, after their nonlinearity", entries=True),
    "z": Activation("attn.hook_z", "each head's mixed values, before the output matrix", per_head=True),
    "q": Activation("attn.hook_q", "each head's queries: what it looks for", per_head=True),
    "k": Activation("attn.hook_k", "each head's keys: what it is found by", per_head=True),
    "v": Activation("attn.hook_v", "each head's values: what it carries", per_head=True),
    "pattern": Activation(
        "attn.hook_pattern",
        "attention: where each position of a head attends",
        per_head=True,
        entries=True,
        pattern=True,
    ),
}


class LanguageModel:
    """A decoder-only language model, wrapped by `load_model` and never changed.

    Attributes:
        raw: the TransformerBridge or HookedTransformer itself.
        name: its name in results and views.
        code: a Python expression that loads it again; None for a user's own object.
        boot: lines of Python that load it with TransformerLens alone; None for a user's own object.
        origin: for a model from a GGUF file, the file's name, hash and quantisation.
        lock: held while a method runs, because hooks are global state of a model. A raw model has one lock, however
            often it is wrapped. Methods that run inside another one, on its thread, share its lock.
        held: what holds the lock (a weak reference), and for which thread; see `engine/turn.py`.
    """

    def __init__(
        self,
        raw: Any,
        name: str,
        code: str | None = None,
        origin: dict[str, Any] | None = None,
        boot: str | None = None,
    ):
        self.raw = raw
        self.name = name
        self.code = code
        self.origin = origin
        self.boot = boot
        self.lock = threading.Lock()
        self.held: tuple[Callable[[], Any], threading.Thread | None] = (lambda: None), None
        self._texts_of: Any = None  # the tokenizer whose texts of tokens are kept
        self._tokenizer: tuple[Any, dict[str, Any]] | None = None  # the tokenizer that was described last, and how
        self._token_texts: dict[int, str] = {}
        self._tokenizer_lock = threading.Lock()  # fast tokenizers raise "already borrowed" across threads
        # Every `with` of the lock has a second context that does nothing, so that an interrupt on exit is raised inside
        # the first one, which releases the lock.

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
        """The largest number of tokens that a prompt can have."""
        config = getattr(getattr(self.raw, "original_model", None), "config", None)
        rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
        # Dynamic scaling stretches the rotary angles of prompts that are longer than those of the training.
        stretch = float(rope.get("factor") or 1) if rope.get("rope_type", rope.get("type")) == "dynamic" else 1.0
        return int(self.raw.cfg.n_ctx * stretch)

    @property
    def d_vocab(self) -> int:
        """How many tokens the model has embeddings for. TransformerLens's config follows the tokenizer instead."""
        return int(self.raw.W_E.shape[0])

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
        if processed is None:  # in HookedTransformer, the name of the norm shows it
            processed = str(getattr(self.raw.cfg, "normalization_type", "")).endswith("Pre")
        return "folded" if processed else "as trained"

    def describe(self) -> dict[str, Any]:
        """The description of the model in views and results."""
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
            "weights_hash": self.weights_hash,
            "tokenizer": self._tokenizer_described(),
            "bos": self._bos_in_front(),
            **({"origin": self.origin} if self.origin else {}),
        }

    @cached_property
    def weights_hash(self) -> str:
        """The first half of a SHA-256 of the weights as they were when this was first asked for: of all names, shapes
        and types, and of up to 4,096 numbers of each weight, evenly spread, so that models of any size take moments."""
        digest = hashlib.sha256()
        for name, weight in sorted(
            getattr(self.raw, "original_model", self.raw).named_parameters(), key=lambda one: one[0]
        ):
            flat = weight.detach().reshape(-1)
            some = flat[:: max(1, len(flat) // 4096)].float().cpu().numpy()
            digest.update(f"{name} {tuple(weight.shape)} {weight.dtype}".encode())
            digest.update(some.tobytes())
        return digest.hexdigest()[:32]

    def _tokenizer_described(self) -> dict[str, Any] | None:
        """The tokenizer's class, how many tokens it knows, and the first half of a SHA-256 of them and their ids."""
        tokenizer = self.raw.tokenizer
        if tokenizer is None:
            return None
        if self._tokenizer is None or self._tokenizer[0] is not tokenizer:
            with self._tokenizer_lock:
                known = sorted((id, text) for text, id in tokenizer.get_vocab().items())
            digest = hashlib.sha256("\n".join(f"{id} {text!r}" for id, text in known).encode("utf-8", "replace"))
            described = {"class": type(tokenizer).__name__, "tokens": len(known), "hash": digest.hexdigest()[:32]}
            self._tokenizer = (tokenizer, described)
        return self._tokenizer[1]

    def _bos_in_front(self) -> dict[str, Any] | None:
        """The beginning-of-text token, whether prompts begin with it by default, and who puts it there."""
        token = next(iter(self.prefix(True)), None)
        if token is None:
            return None
        with self._tokenizer_lock, nullcontext():
            own = self.raw.tokenizer(_SAMPLE)["input_ids"][:1] == [token]
        return {
            "token": self.token_text(token),
            "default": self.prefix() != [],
            "by": "the tokenizer" if own else "TransformerLens",
        }

    def refuse_training_mode(self) -> None:
        """Raise ValueError while any module is in training mode: with dropout, two runs of one prompt differ."""
        for name, module in getattr(self.raw, "original_model", self.raw).named_modules():
            if module.training:
                raise ValueError(
                    f"{f'The module {name}' if name else 'The model'} is in training mode, so dropout makes every run "
                    "different. Put the whole model in evaluation mode first: model.eval()."
                )

    def refuse_dtype(self) -> None:
        """Raise ValueError if the device can't compute in the weights' precision (8 bits on a CPU, for example)."""
        weight = next(self.raw.parameters())
        if not weight.is_floating_point():  # quantised weights are converted to another type for computing
            return
        try:
            one = torch.ones((1, 1), device=weight.device).to(weight.dtype)
            torch.nn.functional.linear(one, one).softmax(-1)
        except RuntimeError as problem:  # NotImplementedError is one
            raise ValueError(
                f"{self.device} can't compute in {self.dtype} ({problem}). Load the model in float32 or bfloat16."
            ) from None

    # Tokens

    def to_ids(self, prompt: str, prepend_bos: bool | None = None) -> list[int]:
        """Token ids of a prompt, never truncated.

        Args:
            prompt: the text.
            prepend_bos: whether it begins with the beginning-of-text token; None does what TransformerLens does with
                this model.

        Raises:
            ValueError: the text has half a character, or a token that the model has no embedding for.
        """
        refuse_half_characters(prompt)
        with self._tokenizer_lock, nullcontext():
            tokens = self.raw.to_tokens(prompt, prepend_bos=prepend_bos, truncate=False)[0]
        return self._embedded(tokens.tolist())

    def prefix(self, prepend_bos: bool | None = None) -> list[int]:
        """The tokens that `to_ids` puts in front of every prompt."""
        whole, bare = self.to_ids(_SAMPLE, prepend_bos), self._bare_ids(_SAMPLE)
        starts = (start for start in range(len(whole)) if whole[start : start + len(bare)] == bare)
        return whole[: next(starts, 0)]

    def answer_ids(self, answer: str, after: str = "") -> list[int]:
        """Token ids of text that continues a prompt: no special tokens are added.

        Some tokenizers (Llama 2's) put a space before any text, which would give an answer by itself one token more. So
        the answer is tokenised together with its prompt, unless the two merge into other tokens.
        """
        if after:
            prompt, whole = self.to_ids(after), self.to_ids(after + answer)
            if len(whole) > len(prompt) and whole[: len(prompt)] == prompt:
                return whole[len(prompt) :]
        return self._bare_ids(answer)

    def _bare_ids(self, text: str) -> list[int]:
        refuse_half_characters(text)
        with self._tokenizer_lock, nullcontext():
            return self._embedded(self.raw.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _embedded(self, ids: list[int]) -> list[int]:
        size = self.d_vocab
        unknown = next((token for token in ids if not 0 <= token < size), None)
        if unknown is not None:
            raise ValueError(
                f"The tokenizer makes token {unknown} (“{self.token_text(unknown)}”) of this text, but the model has "
                f"embeddings for {size} tokens only. Use the tokenizer that belongs to the model, or another text."
            )
        return ids

    def one_token(self, token: Any, after: str = "") -> int:
        """The id of a token, which is given by its id or by its text as a continuation of a prompt.

        Raises:
            ValueError: the text is not exactly one token, or the vocabulary has no such id.
        """
        size = self.d_vocab
        if not isinstance(token, str):
            if isinstance(token, bool) or not hasattr(token, "__index__"):
                raise ValueError(f"A token is given as its text or its id, not as {token!r}.")
            if not 0 <= token < size:
                raise ValueError(f"There is no token {token}: the vocabulary has {size}, from 0.")
            return int(token)
        ids = self.answer_ids(token, after)
        if len(ids) != 1:
            parts = " + ".join(f"“{text}”" for text in self.token_texts(ids)) or "none"
            raise ValueError(
                f"“{token}” is {len(ids)} tokens ({parts}), but must be one. Give one of them; most words need "
                "their leading space to be one token."
            )
        return ids[0]

    def token_text(self, token: int) -> str:
        """The text of one token, with its leading space; bytes of an incomplete character are shown as `\\xe2`."""
        with self._tokenizer_lock, nullcontext():
            tokenizer = self.raw.tokenizer
            if tokenizer is not self._texts_of:  # the user may exchange it
                self._texts_of, self._token_texts = tokenizer, {}
            if token not in self._token_texts:
                self._token_texts[token] = _token_text(tokenizer, token)
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
        hook = ACTIVATIONS[activation].hook
        return hook if activation == "embed" else f"blocks.{layer}.{hook}"

    def hook_handles(self, *, temporary: bool = False) -> frozenset[int]:
        """The identities of all hooks on hook points, or only of the temporary ones."""
        points = self.raw.hook_dict.values()
        handles = (handle for point in points for handle in point.fwd_hooks)
        return frozenset(id(handle) for handle in handles if not (temporary and handle.is_permanent))

    def users_hooks(self) -> list[str]:
        """The names of hook points and modules with the user's own hooks, which act on every run."""
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

    # Finds the activations that layers lack. `engine.axes` sets it, because only the engine runs models.
    find_absent: ClassVar[Callable[[LanguageModel], tuple[dict[str, dict[int, str]], bool]]]

    @property
    def absent(self) -> dict[str, dict[int, str]]:
        """By activation, the layers that lack it, each with the reason: see `engine/axes.py` for the rule."""
        if self.raw in _absent:
            return _absent[self.raw]
        found, checked = LanguageModel.find_absent(self)
        if checked:
            _absent[self.raw] = found
        return found

    def layers_with(self, activation: str) -> list[int]:
        """The layers that have an activation; the embeddings are in layer 0."""
        lacking = self.absent.get(activation, {})
        return [layer for layer in range(1 if activation == "embed" else self.n_layers) if layer not in lacking]

    @property
    def unavailable(self) -> dict[str, str]:
        """The activations that no layer has, each with a sentence that says why and what to use instead."""
        return {
            name: f"This model has no {name}: {next(iter(layers.values()))}. Choose another activation, for example "
            f"{'resid_pre' if name != 'resid_pre' else 'embed'}."
            for name, layers in self.absent.items()
            if not self.layers_with(name)
        }

    def why_lacking(self, activation: str, layer: int | None = None) -> str | None:
        """Why the model, or one layer, lacks an activation, and what to do instead; None if it is there."""
        if activation in self.unavailable:
            return self.unavailable[activation]
        if layer is None or not (why := self.absent.get(activation, {}).get(layer)):
            return None
        there = ", ".join(map(str, self.layers_with(activation)))
        return f"There is no {activation} in layer {layer}: {why}. Choose among the layers that have it: {there}."

    def why_not(self, activation: str, layer: int | None = None) -> str | None:
        """Why an activation can't be patched in this model, or in one layer, and what to do; None if it can be."""
        if why := self.why_lacking(activation, layer):
            return why
        if activation in self.dead_hooks:
            return (
                f"Edits of {activation} never reach the output of this model ({self.architecture or self.name}): "
                "TransformerLens computes attention there from values that it has already read (on gpt_neo, gptj "
                "and opt). Patch z, q, k or v instead."
            )
        return None

    # Finds the dead hooks of a model. `engine.dead_hooks` sets it, because only the engine runs models.
    find_dead_hooks: ClassVar[Callable[[LanguageModel], list[str] | None]]

    @property
    def dead_hooks(self) -> list[str]:
        """The activations whose edits never reach the logits, so that patching them would show a false zero."""
        if self.raw not in _dead:
            found = LanguageModel.find_dead_hooks(self)
            if found is None:
                return []  # the user's own hooks made the test impossible, so nothing is refused
            _dead[self.raw] = found
        return _dead[self.raw]


_absent: weakref.WeakKeyDictionary[Any, dict[str, dict[int, str]]] = weakref.WeakKeyDictionary()  # by the raw model
_dead: weakref.WeakKeyDictionary[Any, list[str]] = weakref.WeakKeyDictionary()  # by the raw model


def _is_users(hook: Any) -> bool:
    """Whether a hook is the user's. TransformerLens and transformers register hooks too, some at a first run."""
    module = getattr(hook, "__module__", None) or type(hook).__module__
    return module.split(".")[0] not in ("transformer_lens", "transformers", "accelerate", "torch", "interp_backend")


_SAMPLE = "a"  # any text will do that has a token


def refuse_half_characters(text: str) -> None:
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError(
            f"The text {text[:40]!a} has half a character (a lone surrogate), which no tokenizer reads. Delete it."
        )


def _token_text(tokenizer: Any, token: int) -> str:
    piece = tokenizer.convert_ids_to_tokens(token)
    if piece is None:  # this row of the unembedding has no token
        return f"<{token}>"
    if token in tokenizer.all_special_ids or piece in tokenizer.get_added_vocab():
        return str(piece)
    if byte := _BYTE_PIECE.fullmatch(piece):  # how SentencePiece writes what its vocabulary lacks
        return bytes([int(byte[1], 16)]).decode("utf-8", "backslashreplace")
    if "ByteLevel" in str(getattr(getattr(tokenizer, "backend_tokenizer", None), "decoder", "")):
        known = all(character in _BYTE_OF for character in piece)
        if known:
            return bytes(_BYTE_OF[character] for character in piece).decode("utf-8", "backslashreplace")
    if "\u2581" in piece:  # sentencepiece's space, which it drops when it decodes a single token
        return str(piece).replace("\u2581", " ")
    return str(tokenizer.decode([token]))


_BYTE_PIECE = re.compile("<0x([0-9A-Fa-f]{2})>")


def _byte_table() -> dict[str, int]:
    """The byte for each character of a byte-level BPE vocabulary (GPT-2's printable alphabet)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    table = {chr(byte): byte for byte in printable}
    return table | {chr(0x100 + i): byte for i, byte in enumerate(others)}


_BYTE_OF = _byte_table()
