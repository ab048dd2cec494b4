// Measures the width of a text without laying it out.

const GUESSED_ADVANCE = 0.62;
let context: CanvasRenderingContext2D | null | undefined;

export function textWidth(text: string, size: number, family: string): number {
  context ??= document.createElement("canvas").getContext("2d");
  if (!context) return text.length * size * GUESSED_ADVANCE;
  context.font = `${size}px ${family}`;
  return context.measureText(text).width;
}

/** The text, shortened with an ellipsis to at most `room` pixels. */
export function shorten(text: string, room: number, size: number, family: string): string {
  if (textWidth(text, size, family) <= room) return text;
  const chars = [...text];
  while (chars.length > 1 && textWidth(`${chars.join("")}\u2026`, size, family) > room) chars.pop();
  return `${chars.join("")}\u2026`;
}
