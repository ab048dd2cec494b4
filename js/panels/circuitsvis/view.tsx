// One view for all figures of tokens and values; the figure's kind decides what is drawn.
import { type Failure, useTrait } from "../../lib/model";
import { Root } from "../../lib/mount";
import type { PanelProps } from "../../lib/panel";
import { ErrorLine, Notes, WaitingWords } from "../../lib/status";
import { ColumnsView } from "./columns";
import type { Figure } from "./figure";
import { PredictionsView } from "./predictions";
import { SamplesView } from "./samples";
import type { FigureState } from "./state";
import { TokensView } from "./tokens";
import { TopsView } from "./tops";

export type FigureProps<Kind> = PanelProps<FigureState> & { figure: Kind };

export function FigureView({ model, state }: PanelProps<FigureState>) {
  const figure = useTrait<Figure>(model, "figure");
  const error = useTrait<Failure | null>(model, "error");
  useTrait(model, "chosen");
  return (
    <Root name="circuitsvis" label={figure.title}>
      <Shown model={model} state={state} figure={figure} />
      <Notes notes={figure.warnings} />
      <ErrorLine error={error} />
      {!model.readonly && <WaitingWords rpc={state.rpc} />}
    </Root>
  );
}

function Shown({ model, state, figure }: FigureProps<Figure>) {
  switch (figure.kind) {
    case "tokens":
      return <TokensView {...{ model, state, figure }} />;
    case "columns":
      return <ColumnsView {...{ model, state, figure }} />;
    case "predictions":
      return <PredictionsView {...{ model, state, figure }} />;
    case "samples":
      return <SamplesView {...{ model, state, figure }} />;
    case "tops":
      return <TopsView {...{ model, state, figure }} />;
    default:
      throw new Error(`unknown kind of figure: ${JSON.stringify((figure as Figure).kind)}`);
  }
}
