// How likely each token was, and which tokens were likelier: token_log_probs.
import { useMemo } from "preact/hooks";
import { count, fixed } from "../../lib/format";
import { decodeInts } from "../../lib/ndarray";
import { range } from "../../lib/range";
import { Absent } from "../../lib/status";
import { plainCell } from "../../lib/table";
import { Token } from "../../lib/tokens";
import { decodeNumbers, exact, type Numbers, type PredictionsFigure, plainNumber } from "./figure";
import { FigureHead, ReadOut, Word } from "./parts";
import { useShade } from "./shade";
import { TokenText, usePlace, useReading } from "./token_text";
import type { FigureProps } from "./view";

/** The log probability, in nats, at which the colour fades out, as in CircuitsVis. */
const FAINT = -5;

interface Predictions {
  log_probs: Numbers;
  ranks: Int32Array;
  k: number;
  top: Numbers;
  tokens: Int32Array;
}

export function PredictionsView({ model, figure }: FigureProps<PredictionsFigure>) {
  const found = useMemo(() => decodePredictions(figure), [figure]);
  const tokens = useMemo(() => figure.tokens.slice(1), [figure]);
  const scale = useShade(0, -FAINT);
  // Values are shaded by how far they are above FAINT.
  const shade = useMemo(() => {
    const above = (value: number) => (Number.isNaN(value) ? value : Math.max(0, value - FAINT));
    return {
      ...scale,
      fill: (value: number) => scale.fill(above(value)),
      ink: (value: number) => scale.ink(above(value)),
    };
  }, [scale]);
  const reading = useReading(model);
  const place = usePlace(reading, () => tokens);
  const rows = () => [
    ["position", "token", "log_prob", "rank"],
    ...tokens.map((token, i) => [
      String(i + 1),
      plainCell(token),
      plainNumber(found.log_probs, i),
      (found.ranks[i] ?? -1) < 0 ? "" : String(found.ranks[i]),
    ]),
  ];
  const words = `${count(tokens.length, "token")} \u00b7 coloured by log probability (nats)`;
  return (
    <>
      <FigureHead title={figure.title} words={words} rows={rows} />
      {tokens.length === 0 ? (
        <Absent>Nothing is predicted: give at least two tokens.</Absent>
      ) : (
        <div class="hs-cv-beside">
          <div>
            <ReadOut
              shade={scale}
              shift={FAINT}
              text={place && figure.tokens[place.token]}
              hint="what was expected"
            >
              <span class="hs-muted">is followed by</span> <Word text={tokens[place?.token ?? -1] ?? ""} />
            </ReadOut>
            <TokenText label="Tokens" {...{ tokens, shade, reading }} values={found.log_probs} />
          </div>
          <Expected figure={figure} found={found} position={place?.token ?? null} />
        </div>
      )}
    </>
  );
}

function decodePredictions(figure: PredictionsFigure): Predictions {
  return {
    log_probs: decodeNumbers(figure.log_probs),
    ranks: decodeInts(figure.ranks),
    k: figure.top_tokens.shape[1] ?? 0,
    top: decodeNumbers(figure.top_log_probs),
    tokens: decodeInts(figure.top_tokens),
  };
}

interface ExpectedProps {
  figure: PredictionsFigure;
  found: Predictions;
  position: number | null;
}

/** The true token, then the likeliest ones; blank rows keep the space. */
function Expected({ figure, found, position }: ExpectedProps) {
  const { k, ranks, log_probs, top, tokens } = found;
  const rank = position === null ? -1 : (ranks[position] ?? -1);
  const first = (position ?? 0) * k;
  return (
    <table class="hs-top-table hs-cv-expected" data-hs="expected" aria-label="What was expected">
      <thead>
        <tr>
          <th scope="col">rank</th>
          <th scope="col">token</th>
          <th scope="col" class="hs-number">
            prob.
          </th>
          <th scope="col" class="hs-number">
            log prob.
          </th>
        </tr>
      </thead>
      <tbody data-hs="true-token" class="hs-cv-true">
        <Row
          token={position === null ? null : (figure.tokens[position + 1] ?? "")}
          rank={rank}
          values={log_probs}
          at={position ?? 0}
        />
      </tbody>
      <tbody>
        {range(k).map((i) => (
          <Row
            key={i}
            token={position === null ? null : (figure.strings[tokens[first + i] ?? -1] ?? "")}
            rank={i}
            values={top}
            at={first + i}
            same={i === rank}
          />
        ))}
      </tbody>
    </table>
  );
}

interface RowProps {
  token: string | null;
  rank: number;
  values: Numbers;
  at: number;
  same?: boolean;
}

function Row({ token, rank, values, at, same = false }: RowProps) {
  if (token === null) {
    return (
      <tr>
        <td>{rank >= 0 ? rank : "\u2013"}</td>
        <td>
          <span class="hs-placeholder" style={{ width: "56px" }} />
        </td>
        <td />
        <td />
      </tr>
    );
  }
  const value = values[at] ?? Number.NaN;
  return (
    <tr
      class={same ? "hs-cv-same" : undefined}
      data-value={plainNumber(values, at)}
      title={exact(values, at)}
    >
      <td>{rank}</td>
      <td>
        <Token text={token} />
      </td>
      <td class="hs-number">{`${fixed(Math.exp(value) * 100)}%`}</td>
      <td class="hs-number">{value === Number.NEGATIVE_INFINITY ? "\u2212\u221e" : fixed(value, 3)}</td>
    </tr>
  );
}
