// The subgraph: nodes go in and out, are grouped and named; and what the picture says while the pointer is on it.

import axe from "axe-core";
import { expect, test } from "vitest";
import { prune } from "../../../js/panels/feature_graph/prune";
import { maybe, part, press, settled, unexplained } from "../helpers";
import { GRAPH, graphTraits, IDS } from "./graphs";
import { cardWithoutKernel, showCard } from "./shown_card";

const [A, B, C] = IDS as [string, string, string];
const dot = (el: HTMLElement, id: string) => {
  const found = el.querySelector<HTMLElement>(`[data-node="${id}"]`);
  if (!found) throw new Error(`no node ${id} in the picture`);
  return found;
};
const shiftClick = (element: HTMLElement) =>
  element.dispatchEvent(new MouseEvent("click", { bubbles: true, shiftKey: true }));
const members = (el: HTMLElement, name: string) => [
  ...el.querySelectorAll<HTMLElement>(`[data-hs="${name}"]`),
];
const write = (el: HTMLElement, name: string, text: string) => {
  const field = part<HTMLInputElement>(el, name);
  field.value = text;
  field.dispatchEvent(new Event("change", { bubbles: true }));
};
const SCORES = { of: [A, B], replacement: 0.25, completeness: 0.5 };

test("a click pins, a click with Shift puts in or takes out, and so do keys", async () => {
  const { el, model, sent } = await showCard(graphTraits({ subgraph: [B] }));
  dot(el, A).click();
  await settled();
  expect(model.get("pinned")).toBe(A);
  expect(dot(el, A).getAttribute("aria-pressed")).toBe("true");
  shiftClick(dot(el, A));
  expect(sent.at(-1)).toMatchObject({ method: "pin_nodes", params: { nodes: [A] } });
  shiftClick(dot(el, B));
  expect(sent.at(-1)).toMatchObject({ method: "unpin_nodes", params: { nodes: [B] } });
  press(dot(el, A), "Enter", { shiftKey: true });
  expect(sent.at(-1)).toMatchObject({ method: "pin_nodes", params: { nodes: [A] } });
  expect(dot(el, B).dataset.kept).toBe("true");
  press(dot(el, A), "Escape");
  await settled();
  expect(model.get("pinned")).toBeNull();
});

test("an empty subgraph says how to fill it, and takes the strongest at once", async () => {
  const { el, sent } = await showCard(graphTraits());
  expect(part(el, "scores").textContent).toContain("click a node with Shift");
  const drawn = new Set(prune(GRAPH, 0.8, 0.98).nodes.map(({ id }) => id));
  const strongest = IDS.filter((id) => drawn.has(id)).slice(0, 10);
  part(el, "add-strongest").click();
  expect(sent.at(-1)).toMatchObject({ method: "pin_nodes", params: { nodes: strongest } });
});

test("chosen nodes are grouped, and taken out", async () => {
  const { el, sent } = await showCard(graphTraits({ subgraph: [A, B, C], scores: SCORES }));
  expect(part(el, "scores").textContent).toBe("Subgraph: 3 nodes, replacement 0.25, completeness 0.50");
  expect(maybe(el, "chosen")).toBeNull();
  const chips = members(el, "member");
  expect(chips).toHaveLength(3);
  chips[0]?.click();
  await settled();
  members(el, "member")[1]?.click();
  await settled();
  const order = GRAPH.nodes.filter(({ id }) => [A, B, C].includes(id)).map(({ id }) => id);
  expect(part(el, "chosen").textContent).toContain("2 nodes: group as");
  write(el, "group-name", " say a capital ");
  expect(sent.at(-1)).toMatchObject({
    method: "group_features",
    params: { nodes: order.slice(0, 2), name: "say a capital" },
  });
  await settled();
  expect(maybe(el, "chosen")).toBeNull();
  members(el, "member")[2]?.click();
  await settled();
  part(el, "unpin").click();
  expect(sent.at(-1)).toMatchObject({ method: "unpin_nodes", params: { nodes: order.slice(2) } });
});

test("a supernode is renamed and opened", async () => {
  const supernodes = { "<b>two</b>": [A, B], other: [C] };
  const { el, sent } = await showCard(graphTraits({ subgraph: [A, B, C], supernodes }));
  const [two] = members(el, "supernode");
  expect(two?.textContent).toBe("<b>two</b> (2)");
  two?.click();
  await settled();
  write(el, "group-name", "other");
  await settled();
  expect(part(el, "complaint").textContent).toContain("There is a supernode other already");
  expect(sent).toHaveLength(0);
  write(el, "group-name", "pair");
  expect(sent.at(-1)).toMatchObject({ method: "group_features", params: { name: "pair" } });
  expect(new Set(sent.at(-1)?.params.nodes as string[])).toEqual(new Set([A, B]));
  await settled();
  members(el, "supernode")[0]?.click();
  await settled();
  part(el, "ungroup").click();
  expect(sent.at(-1)).toMatchObject({ method: "ungroup_features", params: { name: "<b>two</b>" } });
});

test("alone, nodes are boxes with names, and Shift chooses them", async () => {
  const names = { [`${IDS[0]?.split("_")[0]}/${IDS[0]?.split("_")[1]}`]: "<i>Norway</i>" };
  const { el, sent } = await showCard(graphTraits({ subgraph: [A, B], shows: "subgraph", names }));
  expect(dot(el, A).textContent).toBe("<i>Norway</i>");
  shiftClick(dot(el, A));
  await settled();
  expect(sent).toHaveLength(0);
  expect(part(el, "chosen").textContent).toContain("1 node: group as");
  expect(dot(el, A).dataset.kept).toBe("true");
});

test("what is under the pointer is said, with how many nodes it reads", async () => {
  const { el } = await showCard(graphTraits());
  expect(part(el, "pointed").textContent).toContain("Point at a node");
  dot(el, A).dispatchEvent(new PointerEvent("pointerenter"));
  await settled();
  expect(part(el, "pointed").textContent).toMatch(
    /^feature \d+ of layer .* of all influence \u00b7 reads \d+ nodes?/,
  );
  const far = members(el, "graph")[0]?.querySelectorAll('[data-dim="true"]').length ?? 0;
  expect(far).toBeGreaterThan(0);
});

test("what is hidden is said, and what the view does not have", async () => {
  const { el } = await showCard(graphTraits({ node_share: 1 }));
  expect(part(el, "node_share-words").textContent).toMatch(/^95%, \d+ of 118 features$/);
  expect(part(el, "share-limit").textContent).toContain("have 95% of the influence");
  expect(part(el, "share-limit").textContent).toContain("view.result.pruned(1, 0.98)");
});

test("a saved page shows supernodes and scores, and asks for nothing", async () => {
  const change = { subgraph: [A, B, C], supernodes: { two: [A, B] }, scores: SCORES };
  const { el } = await cardWithoutKernel(graphTraits(change));
  expect(part(el, "scores").textContent).toContain("replacement 0.25");
  expect(members(el, "supernode").map(({ tagName }) => tagName)).toEqual(["SPAN"]);
  for (const name of ["clear-subgraph", "add-strongest", "member"]) expect(maybe(el, name)).toBeNull();
  expect((await cardWithoutKernel(graphTraits())).el.querySelector('[data-hs="subgraph"]')).toBeNull();
});

const RULES = { "color-contrast": { enabled: false }, region: { enabled: false } };

test.each(["graph", "subgraph"])("the %s is accessible", async (shows) => {
  const { el } = await showCard(
    graphTraits({ subgraph: [A, B, C], supernodes: { two: [A, B] }, shows, scores: SCORES }),
  );
  members(el, "supernode")[0]?.click();
  await settled();
  const { violations } = await axe.run(el, { rules: RULES });
  expect(violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`)).toEqual([]);
  expect(unexplained(el)).toEqual([]);
});
