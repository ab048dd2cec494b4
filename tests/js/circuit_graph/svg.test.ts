// The circuit as SVG: text stays text, whatever it says, and the file is XML.
import fc from "fast-check";
import { expect, test } from "vitest";
import { parseColor } from "../../../js/lib/color";
import { escaped } from "../../../js/lib/svg";
import { figureOf } from "../../../js/panels/circuit_graph/figure";
import { circuitOf, decodeGraph, nodesOf } from "../../../js/panels/circuit_graph/graph";
import { circuitSvg } from "../../../js/panels/circuit_graph/svg";
import { PAIR } from "../helpers";
import { makeGraph } from "./circuits";

const rgb = (hex: string) =>
  (parseColor(hex) ?? [0, 0, 0]).slice(0, 3) as unknown as [number, number, number];
const palette = {
  theme: "light" as const,
  bg: rgb("#ffffff"),
  fg: rgb("#1d2329"),
  muted: rgb("#666b70"),
  faint: rgb("#979a9d"),
  soft: rgb("#f5f5f5"),
  clean: rgb("#1667b7"),
  corrupt: rgb("#b5540e"),
  zero: rgb("#f4f4f4"),
  ui: 'system-ui, "Segoe UI"',
  mono: "monospace",
};

function svgOf(
  change: { title?: string; clean?: string; group?: string; arrange?: "head" | "flow" } = {},
): string {
  const { title = "Circuit", clean = PAIR.clean, group, arrange = "head" } = change;
  const graph = decodeGraph(makeGraph({ params: { metric: "logit_diff", pair: { ...PAIR, clean } } }));
  const edges = circuitOf(graph, 5, []);
  const groups = group === undefined ? [] : [{ name: group, nodes: ["a0.h1", "m0"] }];
  const drawn = { nodes: nodesOf(graph, edges), edges, rising: true, arrange, groups };
  return circuitSvg(
    figureOf({ name: "circuit", title, subtitle: "logit difference", graph, palette, ...drawn }),
  );
}

function parsed(svg: string): Document {
  const xml = new DOMParser().parseFromString(svg, "image/svg+xml");
  expect(xml.querySelector("parsererror")).toBeNull();
  return xml;
}
const wordsOf = (svg: string) =>
  [...parsed(svg).querySelectorAll("text")].map(({ textContent }) => textContent);

test.each(["head", "flow"] as const)(
  "title, prompts, nodes, edges and legend are there, by %s",
  (arrange) => {
    const svg = svgOf({ arrange });
    const words = wordsOf(svg);
    for (const one of ["Circuit", "logit difference", "embed", "0.1", "mlp 0", "1.1", "logits"])
      expect(words).toContain(one);
    expect(words.join("\n")).toContain("\u201cThe capital of Norway is\u201d");
    expect(words.slice(-3)).toEqual(["what the clean prompt has more of", "the reverse", "50% of the gap"]);
    const edges = [...parsed(svg).querySelectorAll("path > title")].map(({ textContent }) => textContent);
    expect(edges).toContain("0.1 \u2192 1.0\u20131 k: \u221240% of the gap (\u22124.00)");
    expect(edges).toHaveLength(5);
    expect(svg).toContain('stroke="rgb(22,103,183)" stroke-width="7"');
    expect(svg).not.toMatch(/var\(|class=|style=/);
  },
);

test("what a stranger wrote is text and nothing else", () => {
  const hostile = `</text><script>alert(1)</script><image href="x" onerror='y'/> & ]]> \u0000\u0008\ud800 "`;
  const svg = svgOf({ title: hostile, clean: hostile, group: hostile });
  const xml = parsed(svg);
  expect(xml.querySelectorAll("script, image, [onerror], [href]")).toHaveLength(0);
  expect(wordsOf(svg)[0]).toBe(hostile.replace("\u0000\u0008\ud800", "\ufffd\ufffd\ufffd"));
});

test("any text is escaped so that it comes back", () => {
  const fit = (words: string) =>
    words.replace(/[^\t\n\r -\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, "\ufffd");
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 30 }), (words) => {
      const inside = escaped(words);
      expect(inside).not.toMatch(/[<>"']|&(?!(amp|lt|gt|quot|apos);)/);
      const entities = { "&lt;": "<", "&gt;": ">", "&quot;": '"', "&apos;": "'", "&amp;": "&" };
      const back = inside.replace(/&\w+;/g, (one) => entities[one as "&lt;"]);
      expect(back).toBe(fit(words));
    }),
  );
});
