// The grounds of the text's tokens.
import { render } from "preact";
import { useRef } from "preact/hooks";
import { afterEach, expect, test } from "vitest";
import { NOWHERE, Pointed } from "../../../js/panels/attention_viewer/pointed";
import type { Scene } from "../../../js/panels/attention_viewer/scene";
import { useTint } from "../../../js/panels/attention_viewer/tint";
import { settled } from "../helpers";

afterEach(() => document.body.replaceChildren());

function sceneOf(pointed: Pointed, color: string): Scene {
  const scaling = { signed: false, rowFactors: () => [1, 1], codeOfValue: (value: number) => value };
  const colors = { fill: () => color, ink: () => color };
  return { tokens: TOKENS, scaling, colors, pointed, locked: NOWHERE } as unknown as Scene;
}

const TOKENS = ["A", "B"];
const VALUES = new Float32Array(4).fill(100);

function Text({ scene }: { scene: Scene }) {
  const list = useRef<HTMLDivElement>(null);
  useTint(list, scene, VALUES);
  return (
    <div ref={list}>
      {TOKENS.map((token) => (
        <span key={token}>{token}</span>
      ))}
    </div>
  );
}

test("with other colours no token keeps a ground of the colours before", async () => {
  const el = document.body.appendChild(document.createElement("div"));
  const grounds = () => Array.from(el.querySelectorAll("span"), (token) => token.style.backgroundColor);
  const pointed = new Pointed(NOWHERE);
  render(<Text scene={sceneOf(pointed, "red")} />, el);
  await settled();
  pointed.text.set({ ...NOWHERE, position: 1 });
  expect(grounds()).toEqual(["red", "red"]);
  render(<Text scene={sceneOf(pointed, "blue")} />, el);
  pointed.text.set({ ...NOWHERE, position: 0 }); // before the effects of this render
  await settled();
  expect(grounds()).toEqual(["blue", "blue"]);
  render(null, el);
});
