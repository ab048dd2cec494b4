// The canvas of all heads: drawn anew when what it shows changes, never because the mouse moves.
import { useLayoutEffect, useRef } from "preact/hooks";
import { useDensity } from "../../lib/grid_cells";
import { paintStill } from "../../lib/grid_paint";
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
    const whole = source.cells === tokens.length;
    const cells = whole ? marked.map((one) => one.cells) : [];
    const drawn = { layout, heads, source, colors, palette, marked: cells };
    const draw = (context: CanvasRenderingContext2D, scale: number) => paintThumbs(context, drawn, scale);
    if (canvas.current) paintStill(canvas.current, { width, height, density }, draw);
  }, [source, layout, heads, colors, palette, marked, density, width, height]);
  return <canvas ref={canvas} />;
}
