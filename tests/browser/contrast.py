"""How readable the text of a view is: its contrast ratio (WCAG 2) against what is painted behind it."""

from __future__ import annotations

from playwright.sync_api import Locator

TEXT = 4.5
SIGNS = 3.0  # of what is a graphic, not text: the box that stands for a space, the "=" of a cell without effect

HELPERS = """
  const pixel = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  // Any CSS colour as [r, g, b, a], by painting it.
  const rgba = (color) => {
    pixel.clearRect(0, 0, 1, 1);
    pixel.fillStyle = color;
    pixel.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = pixel.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, bottom, alpha = top[3]) => [0, 1, 2].map((i) => top[i] * alpha + bottom[i] * (1 - alpha));
  const luminance = (color) => {
    const [r, g, b] = [...color].slice(0, 3).map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (a, b) => {
    const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
  };
"""

# Text in the document. What lies behind an element is what is painted at its place, which need not be an ancestor.
DOM_TEXT = (
    """(root) => {%s
  const behind = (element, x, y) => {
    const painted = document.elementsFromPoint(x, y);
    let own = element;
    while (!painted.includes(own)) own = own.parentElement; // an inline element may be painted beside this point
    const layers = painted.slice(painted.indexOf(own));
    return layers.reduceRight((ground, layer) => over(rgba(getComputedStyle(layer).backgroundColor), ground), [255, 255, 255]);
  };
  const opacity = (element) =>
    element ? Number(getComputedStyle(element).opacity) * opacity(element.parentElement) : 1;
  const found = [];
  const check = (element, text, box) => {
    const style = getComputedStyle(element);
    const ink = rgba(style.color);
    const alpha = ink[3] * opacity(element);
    if (alpha === 0 || !text.trim() || element.closest('.hs-sr, style, option, :disabled')) return;
    element.scrollIntoView({ block: 'nearest' });
    const { left, top, width, height } = box();
    if (width < 1 || height < 1) return;
    const ground = behind(element, left + width / 2, top + height / 2);
    const sign = Boolean(element.closest('.hs-mark, .hs-ghost-mark'));
    found.push({ text: text.trim().slice(0, 40), sign, ratio: ratio(over(ink, ground, alpha), ground) });
  };
  const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const node = texts.currentNode;
    const range = document.createRange();
    range.selectNodeContents(node);
    check(node.parentElement, node.data, () => range.getBoundingClientRect());
  }
  for (const field of root.querySelectorAll('textarea')) check(field, field.value, () => field.getBoundingClientRect());
  return found;
}"""
    % HELPERS
)

# Numbers painted in the grid: the pixel that stands out most from its cell's ground, cell by cell.
CANVAS_TEXT = (
    """(root) => {%s
  const canvas = root.querySelector('[data-hs="cells"] canvas');
  const grid = root.querySelector('[data-hs="grid"]');
  if (!canvas) return [];
  const [rows, columns] = ['aria-rowcount', 'aria-colcount'].map((name) => Number(grid.getAttribute(name)));
  const [width, height] = [canvas.width / columns, canvas.height / rows].map(Math.floor);
  const context = canvas.getContext('2d');
  const cell = (row, column) => root.querySelector(`[data-hs="cell"][data-cell="${row * columns + column}"]`);
  const isEqual = (row, column) => cell(row, column).textContent.includes('equal'); // it shows "=", row 0 lowest
  const ratios = [];
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) {
      const { data } = context.getImageData(column * width + 3, row * height + 3, width - 6, height - 6);
      const ground = data.slice(0, 3);
      let best = 1;
      for (let i = 0; i < data.length; i += 4) best = Math.max(best, ratio(data.slice(i, i + 3), ground));
      ratios.push({ text: `drawn row ${row}, column ${column}`, sign: isEqual(rows - 1 - row, column), ratio: best });
    }
  return ratios;
}"""
    % HELPERS
)


def hard_to_read(view: Locator) -> list[str]:
    """What in a view has too little contrast, one line each."""
    found = view.evaluate(DOM_TEXT) + view.evaluate(CANVAS_TEXT)
    assert len(found) > 10, "the view shows next to no text"
    low = {f"{it['text']!r} {it['ratio']:.2f}" for it in found if it["ratio"] < (SIGNS if it["sign"] else TEXT)}
    return sorted(low)
