// Tokens with one value each: colored_tokens.
import { useMemo } from "preact/hooks";
import { count } from "../../lib/format";
import { Absent } from "../../lib/status";
import { plainCell } from "../../lib/table";
import { decodeNumbers, exact, extremesOf, plainNumber, type TokensFigure } from "./figure";
import { FigureHead, ReadOut, UnknownColors } from "./parts";
import { useShade } from "./shade";
import { TokenText, usePlace, useReading } from "./token_text";
import type { FigureProps } from "./view";

export function TokensView({ model, figure }: FigureProps<TokensFigure>) {
  const { tokens } = figure;
  const values = useMemo(() => decodeNumbers(figure.values), [figure]);
  const found = useMemo(() => extremesOf(values), [values]);
  const shade = useShade(figure.low ?? found.low, figure.high ?? found.high, figure.colors);
  const reading = useReading(model);
  const place = usePlace(reading, () => tokens);
  const rows = () => [
    ["position", "token", "value"],
    ...tokens.map((token, i) => [String(i), plainCell(token), plainNumber(values, i)]),
  ];
  return (
    <>
      <FigureHead title={figure.title} words={count(tokens.length, "token")} rows={rows} />
      {tokens.length === 0 ? (
        <Absent>There are no tokens: give at least one.</Absent>
      ) : (
        <>
          <ReadOut shade={shade} text={place && tokens[place.token]} hint="its value">
            {place && (
              <>
                <span class="hs-muted">token {place.token}</span>{" "}
                <b data-hs="value">{exact(values, place.token)}</b>
              </>
            )}
          </ReadOut>
          <TokenText label="Tokens" {...{ tokens, values, shade, reading }} />
        </>
      )}
      <UnknownColors shade={shade} />
    </>
  );
}
