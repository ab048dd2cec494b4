// Colours given by a user in any CSS notation.
import { overlay, parseColor, type Rgb } from "./color";

let pixel: CanvasRenderingContext2D | null | undefined;

/** Any CSS colour, as the browser paints it over a background; null if the text is not a CSS colour. */
export function cssColor(text: string | null | undefined, ground: Rgb): Rgb | null {
  if (!text) return null;
  pixel ??= document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  if (!pixel) {
    const parsed = parseColor(text);
    return parsed && overlay(parsed, ground);
  }
  // Assigning an invalid colour leaves the previous one in place.
  const taken = ["#000000", "#ffffff"].map((before) => {
    if (pixel) pixel.fillStyle = before;
    if (pixel) pixel.fillStyle = text;
    return pixel?.fillStyle;
  });
  if (taken[0] !== taken[1]) return null;
  pixel.clearRect(0, 0, 1, 1);
  pixel.fillRect(0, 0, 1, 1);
  const [r = 0, g = 0, b = 0, alpha = 0] = pixel.getImageData(0, 0, 1, 1).data;
  return overlay([r, g, b, alpha / 255], ground);
}
