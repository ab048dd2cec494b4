// The nodes of a hypothesis: for each a menu of what must agree, and how much is gained if it is not scrubbed.
import { useEffect, useRef } from "preact/hooks";
import { type Choice, NameMenu } from "../../lib/controls";
import { fixed } from "../../lib/format";
import { keyHandler } from "../../lib/keys";
import { canAsk, useTrait } from "../../lib/model";
import type { PanelProps } from "../../lib/panel";
import { useStore } from "../../lib/store";
import { visibleText } from "../../lib/tokens";
import { LOGITS, parseNode } from "./graph";
import { HypothesisTools } from "./scrub_save";
import { EXACT, featureParts, kindOf, type Outline, type Scrubbing, type Share } from "./scrubbing";
import type { CircuitState } from "./state";
import { longName, partName, shortName } from "./words";

export interface FeatureInfo {
  features: (Choice & { name: string })[];
  /** The features that take a position. */
  at_position: string[];
}

/** Of the nodes that the hypothesis lacks, if their shares were asked for. */
const LISTED = 12;
const PARTS = ["q", "k", "v"];

/** A ref whose element's nodes are marked by how they are resampled. */
export function useMarks(nodes: readonly string[], agree: Record<string, string>) {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    for (const node of nodes) {
      if (node === LOGITS) continue;
      const button = box.current?.querySelector<HTMLElement>(`[data-node="${node}"]`);
      if (button) button.dataset.agrees = kindOf(agree[node] ?? EXACT);
    }
  });
  return box;
}

export function Marks() {
  return (
    <p class="hs-detail-words hs-said hs-scrub-marks" data-hs="marks">
      <i class="hs-scrub-dot" data-agrees="exact" /> reads the same datum{" "}
      <i class="hs-scrub-dot" data-agrees="feature" /> one that agrees by a feature{" "}
      <i class="hs-scrub-dot" data-agrees="anything" /> any datum. What is not drawn is read from any datum.
    </p>
  );
}

interface NodesProps extends PanelProps<CircuitState> {
  outline: Outline;
  found: Scrubbing | null;
  pinned: string | null;
  onHover(node: string | null): void;
  onPin(name: string | null): void;
}

export function ScrubNodes({ model, state, outline, found, pinned, onHover, onPin }: NodesProps) {
  useStore(state.scrub.requested);
  useTrait(model, "agree");
  const { agree } = state.scrub.choice();
  const rows = rowsOf(outline, agree, pinned);
  const scale = scaleOf(found);
  const listed = new Set(rows.map(({ name }) => name));
  const others = [...(found?.shares ?? [])]
    .filter(([name, { share }]) => !listed.has(name) && Number.isFinite(share))
    .sort(([, a], [, b]) => b.share - a.share);
  const unpin = keyHandler(({ key }) => {
    if (key === "Escape") onPin(null);
    return key === "Escape";
  });
  return (
    <section class="hs-bars" data-hs="scrub-nodes" aria-label="What must agree" onKeyDown={unpin}>
      <div class="hs-scrub-head">
        <h3>What must agree</h3>
        <HypothesisTools model={model} state={state} outline={outline} />
      </div>
      {rows.length > 0 && (
        <div class="hs-scrub-row hs-scrub-columns" aria-hidden="true">
          <span />
          <span />
          <span />
          <span>gained if not scrubbed</span>
        </div>
      )}
      <ol>
        {rows.map((row) => (
          <li
            key={row.name}
            class="hs-scrub-row"
            data-hs="scrub-node"
            data-name={row.name}
            data-first={row.first}
            data-pinned={row.node === pinned}
            onPointerEnter={() => onHover(row.node)}
            onPointerLeave={() => onHover(null)}
          >
            <span class="hs-scrub-layer">{row.first && row.layer}</span>
            <button
              type="button"
              class="hs-plain hs-focusable hs-scrub-name"
              title={`${row.words}. Click to pin it`}
              aria-pressed={row.node === pinned}
              onClick={() => onPin(row.node)}
            >
              <i class="hs-scrub-dot" data-agrees={kindOf(row.agrees)} />
              {row.label}
            </button>
            <Agrees model={model} state={state} outline={outline} row={row} />
            <ShareBar share={found?.shares.get(row.name)} scale={scale} words={row.words} />
          </li>
        ))}
      </ol>
      {rows.length === 0 && <p class="hs-muted">Nothing matters, it says: the circuit has no edges.</p>}
      {others.length > 0 && (
        <>
          <h3>{`Not in the hypothesis${others.length > LISTED ? ` \u00b7 ${LISTED} of ${others.length}` : ""}`}</h3>
          <ol data-hs="scrub-others">
            {others.slice(0, LISTED).map(([name, share]) => (
              <li key={name} class="hs-scrub-row">
                <span class="hs-scrub-layer" />
                <span class="hs-scrub-name">{shortName(name)}</span>
                <span class="hs-muted">any datum</span>
                <ShareBar share={share} scale={scale} words={longName(name)} />
              </li>
            ))}
          </ol>
        </>
      )}
    </section>
  );
}

interface Row {
  /** The node, or what a head reads: "a1.h0<k>". */
  name: string;
  /** The node that is drawn. */
  node: string;
  label: string;
  words: string;
  layer: number | null;
  first: boolean;
  agrees: string;
  /** Whether to say `exact` means something here: for what a head reads and no edge leads into. */
  said: boolean;
}

/** A row for each node, and for what a head reads where something is said of it, or where the head is pinned. */
function rowsOf(outline: Outline, agree: Record<string, string>, pinned: string | null): Row[] {
  const receivers = new Set(outline.hypothesis?.edges.map((edge) => edge.split("->")[1] ?? ""));
  const said = new Set([...outline.nodes, ...Object.keys(agree)]);
  let last: number | null | undefined;
  return outline.nodes
    .filter((name) => !parseNode(name).part)
    .flatMap((node) => {
      const { layer, head } = parseNode(node);
      const first = layer !== last;
      last = layer;
      const own = {
        node,
        layer,
        name: node,
        label: shortName(node),
        words: longName(node),
        first,
        said: false,
      };
      const parts = head === null ? [] : PARTS.map((part) => ({ part, name: `${node}<${part}>` }));
      const shown = parts.filter(({ name }) => said.has(name) || (node === pinned && receivers.has(name)));
      return [
        own,
        ...shown.map(({ part, name }) => ({
          ...own,
          name,
          label: partName(part),
          words: `the ${partName(part)} of ${longName(node)}`,
          first: false,
          said: !receivers.has(name),
        })),
      ];
    })
    .map((row) => ({ ...row, agrees: agree[row.name] ?? EXACT }));
}

interface AgreesProps extends PanelProps<CircuitState> {
  outline: Outline;
  row: Row;
}

/** The menu of what must agree, and of the position where a feature takes one. */
function Agrees({ model, state, outline: { examples, tokens }, row }: AgreesProps) {
  const { features, at_position } = useTrait<FeatureInfo>(model, "info");
  const { name, at } = featureParts(row.agrees);
  const known = features.find((one) => one.name === row.agrees) ? row.agrees : name;
  const choose = (feature: string) => state.scrub.agree(row.name, feature, row.said);
  const example = (feature: string) => {
    return examples[feature]?.at(feature === name && at !== null ? at : -1);
  };
  if (!canAsk(model)) {
    const label = features.find((one) => one.name === known)?.label ?? row.agrees;
    return <span class="hs-muted hs-cut">{at === null ? label : `${label} ${at}`}</span>;
  }
  const menu = features.map((one) => {
    const value = example(one.name);
    const help =
      value === undefined ? one.help : `${one.help}; of the first datum \u201c${visibleText(value)}\u201d`;
    return { ...one, help };
  });
  const last = { name: "", label: "last", help: "the last token" };
  const places = tokens.map((token, i) => ({ name: String(i), label: `${i} ${visibleText(token)}` }));
  return (
    <span class="hs-scrub-menus">
      <NameMenu
        name="agrees"
        label={`What must agree for ${row.words}`}
        choices={menu}
        value={known}
        onChoose={choose}
      />
      {at_position.includes(name) && (
        <NameMenu
          name="agrees-at"
          label={`Position of the ${name} for ${row.words}`}
          choices={[last, ...places]}
          value={at === null ? "" : String(at)}
          onChoose={(place) => choose(place === "" ? name : `${name}@${place}`)}
        />
      )}
    </span>
  );
}

interface Scale {
  from: number;
  to: number;
}

function scaleOf(found: Scrubbing | null): Scale {
  const every = [...(found?.shares.values() ?? [])].flatMap(({ share, low, high }) => [share, low, high]);
  const known = every.filter(Number.isFinite);
  return { from: Math.min(0, ...known), to: Math.max(1, ...known) };
}

const signedPercent = (value: number): string => (value > 0 ? "+" : "") + fixed(value, 1);

/** How much is gained, with its interval as a line. */
function ShareBar({ share: one, scale, words }: { share: Share | undefined; scale: Scale; words: string }) {
  const { share, low, high } = one ?? { share: Number.NaN, low: Number.NaN, high: Number.NaN };
  const at = (value: number) => (100 * (value - scale.from)) / (scale.to - scale.from);
  const between = (a: number, b: number) => ({
    left: `${at(Math.min(a, b))}%`,
    width: `${Math.abs(at(a) - at(b))}%`,
  });
  if (!Number.isFinite(share)) return <span class="hs-scrub-share" />;
  const interval = Number.isFinite(low) ? ` [${fixed(low, 1)}, ${fixed(high, 1)}]` : "";
  return (
    <span
      class="hs-scrub-share"
      data-hs="share"
      title={`If ${words} alone is not scrubbed, ${signedPercent(share)} per cent are recovered in addition${interval}`}
    >
      <span class="hs-scrub-mini" aria-hidden="true">
        <i class="hs-scrub-fill" style={between(0, share)} />
        {Number.isFinite(low) && <i class="hs-scrub-interval" style={between(low, high)} />}
      </span>
      <span class="hs-bar-number">{`${signedPercent(share)}%`}</span>
    </span>
  );
}
