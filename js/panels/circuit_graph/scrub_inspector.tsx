// Which data stood in for a datum, node by node of the tree.
import { useMemo, useState } from "preact/hooks";
import { Button } from "../../lib/controls";
import { isWhole, SmallCheck, SmallField, takeNumber } from "../../lib/fields";
import { Token } from "../../lib/tokens";
import { parseNode } from "./graph";
import { ANYTHING, type Datum, EXACT, featureParts, type Row, type Scrubbing } from "./scrubbing";
import { longName, partName, shortName } from "./words";

/** Rows that are drawn at first; a tree may have thousands. */
const LISTED = 100;
/** All nodes together that the hypothesis does not name at a place. */
const OTHERS = "others";

interface InspectorProps {
  found: Scrubbing;
  /** What each feature says of each datum. */
  said: Record<string, string[]>;
  pinned: string | null;
}

export function ScrubInspector({ found, said, pinned }: InspectorProps) {
  const [[datum, sample], setAt] = useState([0, 0]);
  const [all, setAll] = useState(false);
  const [drawn, setDrawn] = useState(false);
  const { json, samples, data } = found;
  const at = { datum: Math.min(datum, data - 1), sample: Math.min(sample, samples - 1) };
  const rows = useMemo(() => found.standIns(at.sample, at.datum), [found, at.sample, at.datum]);
  if (!json.data || data === 0) return null;
  const own = json.data[at.datum];
  const ofNode =
    pinned === null ? [] : rows.filter(({ node }) => parseNode(node).part === "" && node === pinned);
  const whole = ofNode.length > 0 ? ofNode : rows.slice(1);
  const chosen = drawn ? whole.filter(({ agrees }) => agrees !== EXACT) : whole;
  const flat = drawn || ofNode.length > 0;
  const listed = all ? chosen : chosen.slice(0, LISTED);
  return (
    <section class="hs-scrub-inspector" data-hs="inspector" aria-label="Which data stood in">
      <h3 class="hs-title">
        Which data stood in{" "}
        <small>
          {ofNode.length > 0
            ? `at ${longName(pinned ?? "")}, each time that it is read`
            : "at each node of the tree; tokens that differ are underlined"}
        </small>
      </h3>
      <div class="hs-controls">
        <Stepper
          name="datum"
          label="Datum"
          n={data}
          at={at.datum}
          onChange={(to) => setAt([to, at.sample])}
        />
        {samples > 1 && (
          <Stepper
            name="sample"
            label="Sample"
            n={samples}
            at={at.sample}
            onChange={(to) => setAt([at.datum, to])}
          />
        )}
        <SmallCheck
          name="drawn"
          label="only what is drawn anew"
          help="Leave out the nodes that read the datum of the node that reads them"
          checked={drawn}
          onChange={setDrawn}
        />
        {json.data.length > data && (
          <span class="hs-small">{`the first ${data} of ${json.data.length} data are here`}</span>
        )}
      </div>
      <p class="hs-scrub-own" data-hs="inspected">
        <Text datum={own} />
      </p>
      <ol class="hs-scrub-tree" data-hs="stand-ins">
        {listed.map((row) => (
          <li key={row.path} title={pathOf(row)}>
            <span
              class="hs-scrub-place hs-cut"
              style={{ paddingInlineStart: flat ? 0 : `${12 * Math.min(8, row.depth - 1)}px` }}
            >
              {flat ? pathOf(row) : nameOf(row)}
            </span>
            <span class="hs-muted hs-cut">{agreedOn(row, said)}</span>
            <span class="hs-number">{row.datum}</span>
            <Text datum={json.data?.[row.datum]} beside={own} />
          </li>
        ))}
      </ol>
      {chosen.length > listed.length && (
        <Button name="all-rows" title="Show every node of the tree" onClick={() => setAll(true)}>
          {`Show all ${chosen.length.toLocaleString("en")}`}
        </Button>
      )}
    </section>
  );
}

/** From a node to the logits: "all others \u2192 key \u2192 3.3 \u2192 logits". */
function pathOf(row: Row): string {
  const readers = row.path.split("/").slice(0, row.named || row.node === OTHERS ? -1 : -2);
  return [nameOf(row), ...readers.reverse().map(stepName)].join(" \u2192 ");
}

const stepName = (node: string): string => partName(parseNode(node).part) || shortName(node);

function nameOf({ node, named }: Row): string {
  if (node === OTHERS) return "all others";
  return named ? stepName(node) : `${shortName(node)}, not named`;
}

/** What it has in common with the datum of the node that reads it. */
function agreedOn({ agrees, datum }: Row, said: Record<string, string[]>): string {
  if (agrees === EXACT) return "its reader's datum";
  if (agrees === ANYTHING) return "any datum";
  const value = said[agrees]?.[datum];
  const { name, at } = featureParts(agrees);
  const feature = at === null ? name : `${name} ${at}`;
  return value === undefined ? feature : `${feature}: ${value}`;
}

interface StepperProps {
  name: string;
  label: string;
  n: number;
  at: number;
  onChange(to: number): void;
}

function Stepper({ name, label, n, at, onChange }: StepperProps) {
  const lower = label.toLowerCase();
  return (
    <span class="hs-controls">
      <Button
        name={`${name}-back`}
        label={`The ${lower} before`}
        quiet
        disabled={at === 0}
        onClick={() => onChange(at - 1)}
      >
        {"\u2039"}
      </Button>
      <SmallField
        name={name}
        label={label}
        help={`From 0 to ${n - 1}`}
        value={String(at)}
        size={4}
        take={takeNumber(
          (number) => isWhole(number, 0, n - 1),
          `\u201c${label}\u201d must be a whole number from 0 to ${n - 1}.`,
          onChange,
        )}
      />
      <span class="hs-small">{`of ${n}`}</span>
      <Button
        name={`${name}-next`}
        label={`The next ${lower}`}
        quiet
        disabled={at >= n - 1}
        onClick={() => onChange(at + 1)}
      >
        {"\u203a"}
      </Button>
    </span>
  );
}

/** A datum's tokens; those that another one has too are faint. */
function Text({ datum, beside }: { datum: Datum | undefined; beside?: Datum | undefined }) {
  return (
    <span class="hs-scrub-text">
      {datum?.tokens.map((token, i) => (
        <span
          key={`${i}`}
          data-differs={beside !== undefined && token !== beside.tokens[i]}
          data-same={beside !== undefined && token === beside.tokens[i]}
        >
          <Token text={token} />
        </span>
      ))}
    </span>
  );
}
