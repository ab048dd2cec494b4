// Colours of the light theme, for what is painted without a page.
import type { Palette } from "../../js/lib/theme";

export const PALETTE: Palette = {
  theme: "light",
  bg: [255, 255, 255],
  fg: [29, 35, 41],
  muted: [102, 107, 112],
  faint: [151, 154, 157],
  soft: [245, 245, 245],
  clean: [22, 103, 183],
  corrupt: [181, 84, 14],
  zero: [244, 244, 244],
  ui: "sans-serif",
  mono: "monospace",
};
