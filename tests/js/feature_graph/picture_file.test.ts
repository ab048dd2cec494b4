// The picture as SVG: what is on the screen, as text and shapes, whatever strangers wrote.
import { expect, test } from "vitest";
import { arrange } from "../../../js/panels/feature_graph/arrange";
import { decodeGraph, featureKey } from "../../../js/panels/feature_graph/graph";
import { linesOf } from "../../../js/panels/feature_graph/lines";
import { graphSvg } from "../../../js/panels/feature_graph/picture_file";
import { prune, subgraphOf } from "../../../js/panels/feature_graph/prune";
import { PALETTE } from "../palette";
import { FEATURES, GRAPH, IDS } from "./graphs";

const HOSTILE = `</text><script>alert(1)</script>&"`;
const names = Object.fromEntries(FEATURES.slice(0, 1).map((node) => [featureKey(node), HOSTILE]));
const kept = IDS.slice(0, 5);

function parsed(svg: string): Document {
  const xml = new DOMParser().parseFromString(svg, "image/svg+xml");
  expect(xml.querySelector("parsererror")).toBeNull();
  expect(xml.querySelectorAll("script")).toHaveLength(0);
  expect(svg).not.toMatch(/var\(|class=|style=|NaN|undefined/);
  return xml;
}
const wordsOf = (xml: Document) => [...xml.querySelectorAll("text")].map(({ textContent }) => textContent);

test("the whole graph has a mark for each node and a stroke for each edge", () => {
  const shown = prune(GRAPH, 0.8, 0.98);
  const picture = { graph: GRAPH, shown, groups: {}, names, rising: true, named: false };
  const marked = new Set(kept);
  const xml = parsed(
    graphSvg({ ...picture, title: "Graph", subtitle: "118 features", marked, palette: PALETTE }),
  );
  const layout = arrange(picture, 720, PALETTE);
  expect(xml.querySelectorAll("g > circle > title, g > rect > title")).toHaveLength(layout.spots.size);
  expect(xml.querySelectorAll('g[fill="none"] > path')).toHaveLength(linesOf(layout, shown.edges).length);
  expect(wordsOf(xml).slice(0, 2)).toEqual(["Graph", "118 features"]);
  expect(wordsOf(xml)).toContain("subtracts");
});

test("a subgraph has boxes with names and supernodes with their size", () => {
  const json = { ...GRAPH.json, prompt: { ...GRAPH.json.prompt, text: HOSTILE } };
  const graph = decodeGraph(json);
  const shown = subgraphOf(graph, new Set(kept));
  const groups = { two: kept.slice(1, 3) };
  const picture = { graph, shown, groups, names, rising: true, named: true, marked: new Set<string>() };
  const words = wordsOf(parsed(graphSvg({ ...picture, title: "Subgraph", subtitle: "", palette: PALETTE })));
  expect(words).toContain("two (2)");
  expect(words).toContain(HOSTILE);
  expect(words.join("\n")).toContain(`prompt \u201c${HOSTILE}`);
});
