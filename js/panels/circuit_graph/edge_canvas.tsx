// The canvases of the edges: one with all of them, and one for those that stand out.
import { useEffect, useRef } from "preact/hooks";
import type { Layout } from "./layout";
import { type Line, paintEdges, paintLine, type Shades } from "./lines";
import type { Lit } from "./through";

/** Of one canvas. A picture that is enlarged beyond it is drawn coarser. */
const MOST_PIXELS = 8e6;
/** How many edges are drawn in one frame, so that the pointer never waits: as many as this machine can. */
const AT_ONCE = { least: 40, first: 150, most: 2000 };
const SLOW_MS = 20;

interface CanvasProps extends Shades {
  layout: Layout;
  /** How large a pixel of the layout is on the screen. */
  scale: number;
}

/** Empties a canvas and makes it as fine as the screen. */
function blank(
  canvas: HTMLCanvasElement,
  { width, height }: Layout,
  scale: number,
): CanvasRenderingContext2D | null {
  const finest = Math.sqrt(MOST_PIXELS / (width * height));
  const density = Math.min(finest, scale * (window.devicePixelRatio || 1));
  const [across, down] = [Math.round(width * density), Math.round(height * density)];
  // To set a size takes new memory, also if it is the same.
  if (canvas.width !== across) canvas.width = across;
  if (canvas.height !== down) canvas.height = down;
  const context = canvas.getContext("2d");
  context?.setTransform(across / width, 0, 0, down / height, 0, 0);
  context?.clearRect(0, 0, width, height);
  return context;
}

const sizeOf = ({ width, height }: Layout) => ({ width: `${width}px`, height: `${height}px` });

export function AllEdges({
  layout,
  scale,
  lines,
  faded,
  largest,
  palette,
}: CanvasProps & { lines: readonly Line[]; faded: boolean }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const context = canvas.current && blank(canvas.current, layout, scale);
    if (context) paintEdges(context, lines, { largest, palette });
  }, [layout, scale, lines, largest, palette]);
  return <canvas ref={canvas} class={faded ? "hs-faded" : ""} style={sizeOf(layout)} />;
}

/** How opaque an edge is on paths through a node, by how far from it. */
const OPACITY = [0.9, 0.9, 0.4, 0.2];

export function LitEdges({ layout, scale, lit, largest, palette }: CanvasProps & { lit: readonly Lit[] }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const drawn = useRef(false);
  const atOnce = useRef(AT_ONCE.first);
  useEffect(() => {
    if (!canvas.current || (lit.length === 0 && !drawn.current)) return;
    const context = blank(canvas.current, layout, scale);
    drawn.current = lit.length > 0;
    if (!context) return;
    context.lineCap = "round";
    // The nearest come first, and later ones under them.
    context.globalCompositeOperation = "destination-over";
    let [next, frame, before] = [0, 0, performance.now()];
    const paint = () => {
      const end = Math.min(lit.length, next + atOnce.current);
      for (; next < end; next++) {
        const { line, away } = lit[next] as Lit;
        paintLine(context, line, { largest, palette }, OPACITY[away] ?? 0.2);
      }
      if (next < lit.length) frame = requestAnimationFrame(goOn);
    };
    const goOn = (now: number) => {
      const factor = now - before > SLOW_MS ? 0.6 : 1.5;
      atOnce.current = Math.min(AT_ONCE.most, Math.max(AT_ONCE.least, atOnce.current * factor));
      before = now;
      paint();
    };
    paint();
    return () => cancelAnimationFrame(frame);
  }, [layout, scale, lit, largest, palette]);
  return <canvas ref={canvas} style={sizeOf(layout)} />;
}
