"""Compare attribution graphs with those of circuit-tracer itself, which needs an environment of its own.

    python -m venv build/tracer && build/tracer/bin/pip install circuit-tracer
    python tools/check_circuit_tracer.py build/tracer/bin/python

A small random Llama and random transcoders, which both programs load without a network. Compared are all edges that
circuit-tracer has (it sets features and errors of the first position to zero), and on one adjacency matrix the
influence of nodes, what is pruned, and the two scores. Ends with an error if anything differs.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).parents[1]
TEXT = "hello t"


def main() -> None:
    if sys.argv[1] == "--theirs":
        theirs(Path(sys.argv[2]))
        return
    with tempfile.TemporaryDirectory() as directory:
        ours(Path(directory), sys.argv[1])


# Hookscope's part


def ours(to: Path, python: str) -> None:
    sys.path.insert(0, str(ROOT / "tests/python"))
    from graph_cases import random_transcoders

    import interp_backend as ib
    from tiny_models import bridge, random_model

    raw = bridge("llama")
    transcoders = random_transcoders(raw)
    graph = ib.attribution_graph(raw, TEXT, transcoders, logits=5, mass=1.0)
    model = random_model("llama")
    state = {"model": model.state_dict(), "transcoders": {}}
    every = torch.arange(transcoders.n_features(0))
    for layer in transcoders.layers:
        rows = transcoders.decoder_rows(layer, every)[layer]
        parts = {"W_enc": transcoders.encoder_rows(layer, every), "b_enc": transcoders.encoder_bias(layer, every)}
        state["transcoders"][layer] = {**parts, "W_dec": rows, "b_dec": transcoders.bias(layer)}
    torch.save(state, to / "state.pt")
    raw.tokenizer.save_pretrained(to / "tokenizer")
    (to / "config.json").write_text(json.dumps(model.config.to_dict(), default=str))
    square = np.zeros((len(graph.kind), len(graph.kind)), np.float32)
    square[graph._targets, : graph.edges.shape[1]] = graph.edges
    nodes = np.array([at for at, node in enumerate(graph.nodes) if node.kind != "bias"])
    np.save(to / "square.npy", square[np.ix_(nodes, nodes)])
    counts = {kind: sum(node.kind == kind for node in graph.nodes) for kind in ("feature", "error", "token", "logit")}
    (to / "counts.json").write_text(
        json.dumps({**counts, "probabilities": graph.probabilities.tolist(), "ids": graph.prompt.ids})
    )
    subprocess.run([python, __file__, "--theirs", str(to)], check=True)
    compare(graph, nodes, to)


def compare(graph, nodes: np.ndarray, to: Path) -> None:
    found = json.loads((to / "found.json").read_text())
    np.testing.assert_allclose(graph.influence[nodes], found["influence"], rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose((graph.replacement, graph.completeness), found["scores"], rtol=1e-4)
    small = graph.pruned()
    ids = [graph.ids[at] for at in nodes]
    assert {ids[at] for at in found["kept"]} == set(small.ids) - {"bias"}
    edges = {(ids[source], ids[target]) for target, source in found["edges"]}
    table = small.to_dataframe()
    assert {(s, t) for s, t in zip(table.source, table.target) if s != "bias"} == edges
    print(f"Equal on one matrix: influence of {len(ids)} nodes, {len(edges)} edges after pruning, both scores.")
    largest, compared = 0.0, 0
    for source, target, weight in found["own"]:
        mine = dict(graph.inputs(target)).get(source, 0.0)
        scale = max(abs(one) for _, one in graph.inputs(target))
        largest, compared = max(largest, abs(mine - weight) / scale), compared + 1
    assert largest < 1e-3, f"edges differ by {largest:.1e}"
    print(f"Equal in graphs of their own: {compared} edges, to {largest:.1e} of the largest edge into a node.")


# circuit-tracer's part, in its environment


def theirs(at: Path) -> None:
    import transformers
    from circuit_tracer.attribution.targets import LogitTarget
    from circuit_tracer.graph import Graph, compute_graph_scores, compute_node_influence, prune_graph

    config = json.loads((at / "config.json").read_text())
    counts, square = json.loads((at / "counts.json").read_text()), torch.from_numpy(np.load(at / "square.npy"))
    ids, logits = counts["ids"], torch.tensor(counts["probabilities"])
    hooked = hooked_config(config)
    graph = Graph(
        input_string="",
        input_tokens=torch.tensor(ids),
        active_features=torch.zeros(counts["feature"], 3, dtype=torch.long),
        adjacency_matrix=square,
        cfg=hooked,
        selected_features=torch.arange(counts["feature"]),
        activation_values=torch.zeros(counts["feature"]),
        logit_targets=[LogitTarget(str(i), i) for i in range(counts["logit"])],
        logit_probabilities=logits,
        scan="none",
    )
    weights = torch.zeros(len(square))
    weights[-len(logits) :] = logits
    nodes, edges, _ = prune_graph(graph)
    edges &= square != 0
    found = {
        "influence": compute_node_influence(square, weights).tolist(),
        "scores": compute_graph_scores(graph),
        "kept": nodes.nonzero()[:, 0].tolist(),
        "edges": edges.nonzero().tolist(),
        "own": own_graph(at, transformers.LlamaConfig(**config), hooked, ids),
    }
    (at / "found.json").write_text(json.dumps(found))


def hooked_config(config: dict):
    from transformer_lens import HookedTransformerConfig

    return HookedTransformerConfig(
        n_layers=config["num_hidden_layers"],
        d_model=config["hidden_size"],
        n_heads=config["num_attention_heads"],
        n_key_value_heads=config["num_key_value_heads"],
        d_head=config["hidden_size"] // config["num_attention_heads"],
        d_mlp=config["intermediate_size"],
        d_vocab=config["vocab_size"],
        n_ctx=config["max_position_embeddings"],
        act_fn="silu",
        eps=config["rms_norm_eps"],
        normalization_type="RMS",
        positional_embedding_type="rotary",
        rotary_dim=config["hidden_size"] // config["num_attention_heads"],
        rotary_adjacent_pairs=False,
        gated_mlp=True,
        final_rms=True,
        original_architecture="LlamaForCausalLM",
        model_name="tiny",
        device="cpu",
    )


def own_graph(at: Path, config, hooked, ids: list[int]) -> list[tuple[str, str, float]]:
    """All edges of circuit-tracer's own graph, with our names."""
    import transformers
    from circuit_tracer import attribute
    from circuit_tracer.replacement_model.replacement_model_transformerlens import TransformerLensReplacementModel
    from circuit_tracer.transcoder.single_layer_transcoder import SingleLayerTranscoder, TranscoderSet
    from transformer_lens.pretrained.weight_conversions import convert_llama_weights

    stored = torch.load(at / "state.pt", weights_only=True)
    plain = transformers.LlamaForCausalLM(config).eval()
    plain.load_state_dict(stored["model"])
    layers = {}
    for layer, state in stored["transcoders"].items():
        width, features = hooked.d_model, len(state["b_enc"])
        one = SingleLayerTranscoder(width, features, torch.nn.functional.relu, layer, device="cpu", dtype=torch.float32)
        one.load_state_dict(state)
        layers[layer] = one
    coders = TranscoderSet(layers, feature_input_hook="mlp.hook_in", feature_output_hook="hook_mlp_out", scan="none")
    model = TransformerLensReplacementModel.from_config(hooked, coders)
    model.tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(at / "tokenizer")
    converted = convert_llama_weights(plain, hooked)
    own = model.state_dict()
    moved = {".mlp.": ".mlp.old_mlp.", "unembed.": "unembed.old_unembed."}
    renamed = {}
    for name, value in converted.items():
        for before, after in moved.items():
            name = name.replace(before, after)
        renamed[name] = value
    missing = [name for name in renamed if name not in own]
    assert not missing, missing
    own.update(renamed)
    model.load_state_dict(own)
    with torch.no_grad():
        same = torch.allclose(model(torch.tensor([ids])), plain(torch.tensor([ids])).logits, atol=1e-3)
    assert same, "circuit-tracer's model computes something else"
    graph = attribute(torch.tensor(ids), model, max_n_logits=5, desired_logit_prob=1.0, batch_size=16)
    names = [f"{layer}_{feature}_{position}" for layer, position, feature in graph.active_features.tolist()]
    names += [f"error_{layer}_{position}" for layer in range(hooked.n_layers) for position in range(len(ids))]
    names += [f"E_{token}_{position}" for position, token in enumerate(ids)]
    names += [f"{hooked.n_layers + 1}_{one.vocab_idx}_{len(ids) - 1}" for one in graph.logit_targets]
    matrix = graph.adjacency_matrix
    return [(names[s], names[t], float(matrix[t, s])) for t, s in matrix.nonzero().tolist()]


if __name__ == "__main__":
    main()
