"""Every architecture that the installed TransformerLens can boot, as a tiny model with random weights.

`tools/architecture_table.py` writes docs/architectures.md from it, and test_architectures.py compares each with plain
loops.
"""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any

import torch
import transformers
from transformer_lens.model_bridge import TransformerBridge

from tiny_models import boot, byte_tokenizer

N_LAYERS, N_HEADS, WIDTH = 2, 4, 32

# The sizes that most configurations know, under every name that they have. A configuration takes those that it knows.
_COMMON: dict[str, Any] = {
    "vocab_size": 257,
    "hidden_size": WIDTH,
    "num_hidden_layers": N_LAYERS,
    "num_attention_heads": N_HEADS,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 256,
    "eos_token_id": 256,
}
_EXPERTS = {
    "num_experts": 4,
    "num_local_experts": 4,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 24,
    "n_shared_experts": 1,
}
_GPT2 = {"n_layer": N_LAYERS, "n_head": N_HEADS, "n_embd": WIDTH, "n_positions": 64, "vocab_size": 257}
_LATENT = {
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 16,
    "num_key_value_heads": 4,
    "first_k_dense_replace": 1,
    "n_group": 1,
    "topk_group": 1,
}
_MAMBA = {"state_size": 8, "conv_kernel": 4, "expand": 2, "time_step_rank": 4}
_LINEAR = {
    "layer_types": ["linear_attention", "full_attention"],
    "linear_conv_kernel_dim": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "head_dim": 8,
}
_MAMBA2 = {
    "mamba_n_heads": 4,
    "mamba_d_head": 16,
    "mamba_d_ssm": 64,
    "mamba_d_state": 8,
    "mamba_n_groups": 1,
    "mamba_chunk_size": 8,
    "mamba_expand": 2,
}

# What an architecture's configuration needs beyond the common sizes. `None` takes the common sizes alone.
DECODERS: dict[str, dict[str, Any]] = {
    "GPT2LMHeadModel": _GPT2,
    "OpenAIGPTLMHeadModel": {**_GPT2},
    "GPTNeoForCausalLM": {"num_layers": 2, "num_heads": 4, "attention_types": [[["global", "local"], 1]]},
    "GPTNeoXForCausalLM": {},
    "GPTJForCausalLM": {**_GPT2, "rotary_dim": 4},
    "CodeGenForCausalLM": {**_GPT2, "rotary_dim": 4, "n_ctx": 64},
    "GPTBigCodeForCausalLM": _GPT2,
    "OPTForCausalLM": {"ffn_dim": 64, "word_embed_proj_dim": WIDTH},
    "XGLMForCausalLM": {"d_model": WIDTH, "ffn_dim": 64, "num_layers": 2, "attention_heads": 4},
    "BloomForCausalLM": {"n_layer": 2, "n_head": 4},
    "MptForCausalLM": {"d_model": WIDTH, "n_heads": 4, "n_layers": 2, "max_seq_len": 64},
    "FalconForCausalLM": {"num_kv_heads": 4, "alibi": False},
    "LlamaForCausalLM": {},
    "MistralForCausalLM": {},
    "Ministral3ForCausalLM": {"head_dim": 8},
    "Qwen2ForCausalLM": {},
    "Qwen3ForCausalLM": {"head_dim": 8},
    "GemmaForCausalLM": {"head_dim": 8},
    "Gemma2ForCausalLM": {"head_dim": 8},
    "Gemma3ForCausalLM": {"head_dim": 8, "sliding_window": 4, "layer_types": ["sliding_attention", "full_attention"]},
    "Gemma4ForCausalLM": {
        "head_dim": 8,
        "global_head_dim": 8,
        "hidden_size_per_layer_input": 0,
        "num_kv_shared_layers": 0,
        "sliding_window": 4,
        "layer_types": ["sliding_attention", "full_attention"],
        "vocab_size_per_layer_input": 257,
    },
    "VaultGemmaForCausalLM": {"head_dim": 8},
    "PhiForCausalLM": {"num_key_value_heads": 4},
    "Phi3ForCausalLM": {},
    "StableLmForCausalLM": {},
    "Starcoder2ForCausalLM": {},
    "CohereForCausalLM": {},
    "Cohere2ForCausalLM": {"head_dim": 8},
    "OlmoForCausalLM": {},
    "Olmo2ForCausalLM": {},
    "Olmo3ForCausalLM": {},
    "GraniteForCausalLM": {"logits_scaling": 8.0, "residual_multiplier": 0.5, "embedding_multiplier": 2.0},
    "SmolLM3ForCausalLM": {},
    "NemotronForCausalLM": {},
    "GlmForCausalLM": {"head_dim": 8},
    "Glm4ForCausalLM": {"head_dim": 8},
    "Exaone4ForCausalLM": {},
    "Ernie4_5ForCausalLM": {"head_dim": 8},
    "ApertusForCausalLM": {},
    "ArceeForCausalLM": {},
    "BitNetForCausalLM": {},
    "HunYuanDenseV1ForCausalLM": {"head_dim": 8},
    "Jais2ForCausalLM": {"num_key_value_heads": 4},
    "SeedOssForCausalLM": {"head_dim": 8},
    "NanoChatForCausalLM": {},
    "ModernBertDecoderForCausalLM": {"classifier_dropout": 0.0, "layer_types": ["full_attention", "sliding_attention"]},
    "HrmTextForCausalLM": {},
    # Mixtures of experts
    "MixtralForCausalLM": _EXPERTS,
    "Qwen2MoeForCausalLM": {**_EXPERTS, "shared_expert_intermediate_size": 24, "mlp_only_layers": [0]},
    "Qwen3MoeForCausalLM": {**_EXPERTS, "head_dim": 8},
    "OlmoeForCausalLM": _EXPERTS,
    "FlexOlmoForCausalLM": _EXPERTS,
    "GraniteMoeForCausalLM": _EXPERTS,
    "GptOssForCausalLM": {**_EXPERTS, "head_dim": 8},
    "Llama4ForCausalLM": {
        **_EXPERTS,
        "head_dim": 8,
        "intermediate_size_mlp": 48,
        "num_experts_per_tok": 1,
        "moe_layers": [1],
        "attention_chunk_size": 64,
    },
    "Glm4MoeForCausalLM": {**_EXPERTS, "head_dim": 8, "first_k_dense_replace": 1, "n_group": 1, "topk_group": 1},
    "Glm4MoeLiteForCausalLM": {**_EXPERTS, **_LATENT},
    "GlmMoeDsaForCausalLM": {**_EXPERTS, **_LATENT, "index_head_dim": 16, "index_n_heads": 2, "index_topk": 64},
    "Ernie4_5_MoeForCausalLM": {**_EXPERTS, "moe_num_experts": 4, "moe_k": 2, "moe_num_shared_experts": 1},
    "JetMoeForCausalLM": {**_EXPERTS, "kv_channels": 8, "num_key_value_heads": 2},
    "MiniMaxM2ForCausalLM": {**_EXPERTS, "head_dim": 8},
    "AfmoeForCausalLM": {**_EXPERTS, "head_dim": 8, "num_dense_layers": 1, "num_shared_experts": 1},
    "LagunaForCausalLM": {**_EXPERTS, "head_dim": 8},
    # Multi-head latent attention
    "DeepseekV2ForCausalLM": {**_EXPERTS, **_LATENT},
    "DeepseekV3ForCausalLM": {**_EXPERTS, **_LATENT},
    "DeepseekV4ForCausalLM": {**_EXPERTS, **_LATENT},
    "YoutuForCausalLM": _LATENT,
    # State-space and convolution layers, alone or between attention layers
    "Lfm2ForCausalLM": {"layer_types": ["conv", "full_attention"], "conv_L_cache": 3},
    "Lfm2MoeForCausalLM": {**_EXPERTS, "layer_types": ["conv", "full_attention"], "num_dense_layers": 1},
    "MambaForCausalLM": _MAMBA,
    "FalconMambaForCausalLM": _MAMBA,
    "Mamba2ForCausalLM": {**_MAMBA, "num_heads": 4, "head_dim": 16, "n_groups": 1, "chunk_size": 8},
    "RwkvForCausalLM": {"attention_hidden_size": WIDTH, "context_length": 64},
    "BambaForCausalLM": {**_MAMBA2, "attn_layer_indices": [1]},
    "FalconH1ForCausalLM": {**_MAMBA2, "head_dim": 8},
    "JambaForCausalLM": {
        **_EXPERTS,
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "expert_layer_period": 2,
        "expert_layer_offset": 1,
        "mamba_d_state": 8,
        "mamba_dt_rank": 4,
        "use_mamba_kernels": False,
    },
    "GraniteMoeHybridForCausalLM": {
        **_EXPERTS,
        **_MAMBA2,
        "layer_types": ["mamba", "attention"],
        "position_embedding_type": "rope",
        "shared_intermediate_size": 24,
    },
    "NemotronHForCausalLM": {
        **_EXPERTS,
        "layers_block_type": ["mamba", "attention"],
        "mamba_num_heads": 4,
        "mamba_head_dim": 16,
        "ssm_state_size": 8,
        "n_groups": 1,
        "chunk_size": 8,
        "head_dim": 8,
    },
    "Zamba2ForCausalLM": {
        **_MAMBA2,
        "layers_block_type": ["mamba", "hybrid"],
        "n_mamba_heads": 4,
        "mamba_headdim": 16,
        "mamba_ngroups": 1,
        "num_mem_blocks": 1,
        "chunk_size": 8,
        "use_mem_rope": False,
    },
    "OlmoHybridForCausalLM": {**_LINEAR},
    "Qwen3NextForCausalLM": {**_EXPERTS, **_LINEAR, "shared_expert_intermediate_size": 24},
    "Qwen3_5ForCausalLM": {**_LINEAR},
    "Qwen3_5MoeForCausalLM": {**_EXPERTS, **_LINEAR, "shared_expert_intermediate_size": 24},
    "RecurrentGemmaForCausalLM": {
        "block_types": ["recurrent", "attention"],
        "lru_width": WIDTH,
        "attention_window_size": 64,
    },
}


def config_of(name: str) -> Any:
    """The tiny configuration of an architecture."""
    kind = getattr(transformers, name).config_class
    known = {*inspect.signature(kind).parameters, *getattr(kind, "attribute_map", {})}
    common = {key: value for key, value in _COMMON.items() if key in known and key not in DECODERS[name]}
    return kind(**common, **DECODERS[name], architectures=[name])  # by its architecture TransformerLens knows a model


def decoder(name: str) -> Any:
    """A random transformers model."""
    torch.manual_seed(0)
    kind = getattr(transformers, name)
    model = kind._from_config(config_of(name), attn_implementation="eager")
    for parameter in model.parameters():  # fresh weights barely mix positions: make every part matter
        parameter.data.add_(torch.randn_like(parameter) * 0.05)
    return model.eval()


_NATIVE: dict[str, Any] = {
    "n_layers": N_LAYERS,
    "n_heads": N_HEADS,
    "d_model": WIDTH,
    "d_head": 8,
    "d_vocab": 257,
    "n_ctx": 64,
    "act_fn": "gelu",
    "normalization_type": "LN",
    "seed": 0,
}
# TransformerLens's own models, which teaching uses most.
NATIVE: dict[str, dict[str, Any]] = {
    "boot_native": _NATIVE,
    "boot_native, attention only": {**_NATIVE, "attn_only": True},
    "boot_native, rotary and gated": {
        **_NATIVE,
        "normalization_type": "RMS",
        "positional_embedding_type": "rotary",
        "gated_mlp": True,
        "n_key_value_heads": 2,
        "act_fn": "silu",
    },
}
EVERY = [*NATIVE, *DECODERS]


@cache
def booted(name: str) -> TransformerBridge:
    """A bridge of an architecture; the same object each time, so tests must leave it as it is."""
    if name in DECODERS:
        return boot(decoder(name), name)
    made = TransformerBridge.boot_native(dict(NATIVE[name]), tokenizer=byte_tokenizer(), device="cpu")
    torch.manual_seed(0)
    for parameter in made.parameters():
        parameter.data.add_(torch.randn_like(parameter) * 0.05)
    return made.eval()
