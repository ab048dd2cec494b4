// The canvas of all heads: drawn anew when what it shows changes, never because the mouse moves.
import { useLayoutEffect, useRef } from "preact/hooks";
import { useDensity } from "../lib/grid_cells";
import { sizeCanvas } from "../lib/grid_paint";
import type { Scene } from "./scene";
import type { ThumbSource } from "./thumb_codes";
import type { ThumbLayout } from "./thumb_layout";
import { paintThumbs } from "./thumb_paint";

interface CanvasProps {
  scene: Scene;
  source: ThumbSource;
  layout: ThumbLayout;
  heads: readonly number[];
  width: number;
  height: number;
}

export function ThumbCanvas({ scene, source, layout, heads, width, height }: CanvasProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const density = useDensity();
  const { colors, palette, tokens, marked } = scene;
  useLayoutEffect(() => {
    const context = canvas.current && sizeCanvas(canvas.current, width, height, density);
    if (!context) return;
    const drawn = { layout, heads, source, colors, palette, marked: marked.map(({ cells }) => cells) };
    const whole = source.cells === tokens.length;
    paintThumbs(context, whole ? drawn : { ...drawn, marked: [] }, context.canvas.width / width);
  }, [source, layout, heads, colors, palette, marked, density, width, height]);
  return <canvas ref={canvas} />;
}
