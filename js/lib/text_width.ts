// Measures the width of a text without laying it out.

const GUESSED_ADVANCE = 0.62;
/** More characters than fit into any picture. */
const LONGEST = 600;
let context: CanvasRenderingContext2D | null | undefined;

export function textWidth(text: string, size: number, family: string): number {
  context ??= document.createElement("canvas").getContext("2d");
  if (!context) return text.length * size * GUESSED_ADVANCE;
  context.font = `${size}px ${family}`;
  return context.measureText(text).width;
}

/** The text without as much of its start as does not fit. */
export function shortenStart(text: string, room: number, size: number, family: string): string {
  if (textWidth(text, size, family) <= room) return text;
  const chars = [...text].slice(-LONGEST);
  while (chars.length > 1 && textWidth(`\u2026${chars.join("")}`, size, family) > room) chars.shift();
  return `\u2026${chars.join("")}`;
}

/** The text, shortened with an ellipsis to at most `room` pixels. */
export function shorten(text: string, room: number, size: number, family: string): string {
  if (textWidth(text, size, family) <= room) return text;
  const chars = [...text];
  while (chars.length > 1 && textWidth(`${chars.join("")}\u2026`, size, family) > room) chars.pop();
  return `${chars.join("")}\u2026`;
}
