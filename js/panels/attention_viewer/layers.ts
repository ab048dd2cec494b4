// Parses and formats lists of layers, such as "0-3, 7".

/** The layers in order without duplicates; null for all layers; an error sentence if the text can't be parsed. */
export function parseLayers(text: string, known: readonly number[]): number[] | null | string {
  const plain = text
    .trim()
    .toLowerCase()
    .replace(/\s*[-\u2013]\s*/g, "-");
  if (plain === "" || plain === "all") return null;
  const found = new Set<number>();
  for (const part of plain.split(/[\s,;]+/).filter(Boolean)) {
    const ends = /^(\d+)(?:-(\d+))?$/.exec(part);
    if (!ends) return `Write layers as 0-3, 7: “${part}” is neither a layer nor a range.`;
    const [first, last] = [Number(ends[1]), Number(ends[2] ?? ends[1])];
    const layers = known.filter((layer) => layer >= first && layer <= last);
    if (layers.length === 0) return `${noSuch(part, first, last)} ${theseAre(known)}`;
    for (const layer of layers) found.add(layer);
  }
  const layers = [...found].sort((a, b) => a - b);
  return layers.length === known.length ? null : layers;
}

function noSuch(part: string, first: number, last: number): string {
  return first > last ? `The range ${part} ends before it begins.` : `There is no layer ${part}.`;
}

function theseAre(known: readonly number[]): string {
  return known.length === 1 ? `The only layer is ${known[0]}.` : `Layers are ${formatLayers(known)}.`;
}

/** The inverse of parseLayers. */
export function formatLayers(layers: readonly number[] | null): string {
  if (!layers) return "all";
  const runs: [number, number][] = [];
  for (const layer of layers) {
    const run = runs.at(-1);
    if (run && run[1] === layer - 1) run[1] = layer;
    else runs.push([layer, layer]);
  }
  return runs.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(", ");
}
