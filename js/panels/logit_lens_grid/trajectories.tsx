// The pinned cell's tokens across all layers, as lines with labels at their ends.
import { useEffect, useRef, useState } from "preact/hooks";
import { Menu } from "../../lib/controls";
import { fixed } from "../../lib/format";
import { shorten, textWidth } from "../../lib/text_width";
import { usePalette } from "../../lib/theme";
import { visibleText } from "../../lib/tokens";
import { useWidth } from "../../lib/use_width";
import { heightOf, lastKnown, pathOf, type Span, spanOf, spread, ticksOf } from "./chart";
import type { Line, Quantity } from "./lines";
import { rowWords } from "./words";

interface TrajectoriesProps {
  lines: Line[];
  labels: string[];
  /** The pinned row. */
  row: number;
  title: string;
}

const QUANTITIES: { name: Quantity; label: string; help: string }[] = [
  { name: "probability", label: "probability", help: "0 to 1" },
  { name: "logit", label: "logit", help: "before the softmax" },
  { name: "rank", label: "rank", help: "0 is the likeliest; log scale, likely at the top" },
];
/** Dash patterns, so that lines can be told apart without colour. */
const DASHES = ["", "7 3", "2 3", "9 3 2 3", "4 2", "1 2"];
const INKS = ["fg", "muted", "muted", "fg", "muted", "fg"];
const HEIGHT = 168;
const EDGE = { top: 8, bottom: 20, left: 34 };
const NAME_GAP = 13;
const MAX_NAME = 156;

export function Trajectories({ lines, labels, row, title }: TrajectoriesProps) {
  const box = useRef<HTMLDivElement>(null);
  const width = useWidth(box);
  const [quantity, setQuantity] = useState<Quantity>("probability");
  const [hovered, setHovered] = useState<number | null>(null);
  const { mono } = usePalette();
  useEffect(() => setHovered(null), [title]);
  const tokens = [...new Set(lines.map(({ id }) => id))];
  const chart = layoutChart(lines, labels, quantity, hovered, width, mono);
  const onMove = (event: PointerEvent) => {
    const { left } = (event.currentTarget as Element).getBoundingClientRect();
    setHovered(chart.rowAt(event.clientX - left));
  };
  return (
    <div class="hs-lines" data-hs="lines" ref={box}>
      <div class="hs-top-head hs-small hs-lines-head">
        <Menu
          name="quantity"
          label="What the lines show"
          choices={QUANTITIES}
          chosen={QUANTITIES.findIndex(({ name }) => name === quantity)}
          shown={quantity}
          onChoose={(index) => setQuantity(QUANTITIES[index]?.name ?? quantity)}
        />
        {title}
        {hovered !== null && `, ${rowWords(labels[hovered] ?? "")}`}
      </div>
      <svg
        width={width}
        height={HEIGHT}
        role="img"
        aria-label={`${quantity} across the layers, ${title}`}
        onPointerMove={onMove}
        onPointerLeave={() => setHovered(null)}
      >
        <Ground chart={chart} labels={labels} width={width} />
        <line class="hs-chart-row" {...vertical(chart.x(hovered ?? row))} />
        {lines.map((line, i) => (
          <OneLine
            key={line.key}
            line={line}
            i={i}
            token={tokens.indexOf(line.id)}
            chart={chart}
            quantity={quantity}
            row={hovered ?? row}
          />
        ))}
      </svg>
      <SaidLines lines={lines} labels={labels} quantity={quantity} />
    </div>
  );
}

const vertical = (x: number) => ({ x1: x, x2: x, y1: EDGE.top, y2: HEIGHT - EDGE.bottom });

function layoutChart(
  lines: Line[],
  labels: string[],
  quantity: Quantity,
  hovered: number | null,
  width: number,
  mono: string,
) {
  const span = spanOf(lines, quantity);
  const names = lines.map((line) =>
    nameOf(line, lines, quantity, hovered ?? lastKnown(line.values[quantity])),
  );
  const room = Math.min(MAX_NAME, width * 0.42);
  const shown = names.map((name) => shorten(name, room, 11, mono));
  const widest = Math.max(0, ...shown.map((name) => textWidth(name, 11, mono)));
  const right = width - widest - 12;
  const step = (right - EDGE.left) / Math.max(1, labels.length - 1);
  const bottom = HEIGHT - EDGE.bottom;
  const x = (row: number) => EDGE.left + row * step;
  const y = (value: number) => EDGE.top + heightOf(span, quantity, value) * (bottom - EDGE.top);
  const ends = lines.map(({ values }) => {
    const last = lastKnown(values[quantity]);
    return last < 0 ? bottom : y(values[quantity][last] ?? 0);
  });
  const rowAt = (at: number) =>
    Math.max(0, Math.min(labels.length - 1, Math.round((at - EDGE.left) / Math.max(1, step))));
  return {
    span,
    names: shown,
    nameYs: spread(ends, NAME_GAP, EDGE.top, bottom),
    right,
    step,
    x,
    y,
    rowAt,
    quantity,
  };
}

type Chart = ReturnType<typeof layoutChart> & { span: Span };

function nameOf(line: Line, lines: Line[], quantity: Quantity, row: number): string {
  const sides = new Set(lines.map(({ side }) => side)).size > 1;
  const value = line.values[quantity][row];
  return `${valueText(quantity, value)} ${sides ? `${line.side} ` : ""}${visibleText(line.token)}`;
}

/** Scale lines, and as many row labels as fit. */
function Ground({ chart, labels, width }: { chart: Chart; labels: string[]; width: number }) {
  const widest = Math.max(...labels.map((label) => label.length)) * 7 + 8;
  const every = Math.max(1, Math.ceil(widest / Math.max(1, chart.step)));
  return (
    <g class="hs-chart-ground">
      {ticksOf(chart.span, chart.quantity).map(({ value, text }) => {
        const y = chart.y(value);
        return (
          <g key={value}>
            <line x1={EDGE.left} x2={Math.min(width, chart.right)} y1={y} y2={y} />
            <text x={EDGE.left - 6} y={y + 4} text-anchor="end">
              {text}
            </text>
          </g>
        );
      })}
      {labels.map(
        (label, row) =>
          (labels.length - 1 - row) % every === 0 && (
            <text key={label} x={chart.x(row)} y={HEIGHT - 5} text-anchor="middle">
              {label.replace(/ ?out$/, "") || label}
            </text>
          ),
      )}
    </g>
  );
}

interface OneLineProps {
  line: Line;
  i: number;
  /** The index of the line's token; in a difference, two lines can show the same token. */
  token: number;
  chart: Chart;
  quantity: Quantity;
  row: number;
}

function OneLine({ line, i, token, chart, quantity, row }: OneLineProps) {
  const values = line.values[quantity];
  const last = lastKnown(values);
  const at = values[row];
  const y = chart.nameYs[i] ?? 0;
  return (
    <g
      class="hs-line"
      style={{ "--hs-line-ink": `var(--hs-${line.tone ?? INKS[token % INKS.length]})` }}
      data-hs="line"
    >
      <path d={pathOf(values, chart.x, chart.y)} stroke-dasharray={DASHES[token % DASHES.length]} />
      {at !== undefined && Number.isFinite(at) && <circle cx={chart.x(row)} cy={chart.y(at)} r={3} />}
      {last >= 0 && (
        <text x={chart.right + 8} y={y + 4}>
          {chart.names[i]}
        </text>
      )}
    </g>
  );
}

function valueText(quantity: Quantity, value: number | undefined): string {
  return fixed(value, quantity === "rank" ? 0 : quantity === "logit" ? 1 : 2);
}

function SaidLines({ lines, labels, quantity }: { lines: Line[]; labels: string[]; quantity: Quantity }) {
  return (
    <table class="hs-sr">
      <caption>{quantity} through the layers</caption>
      <thead>
        <tr>
          <th scope="col">token</th>
          {labels.map((label) => (
            <th key={label} scope="col">
              {label}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {lines.map((line) => (
          <tr key={line.key}>
            <th scope="row">{`${visibleText(line.token)} ${line.side}`}</th>
            {labels.map((label, row) => (
              <td key={label}>{valueText(quantity, line.values[quantity][row])}</td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}
