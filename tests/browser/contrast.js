// The contrast ratio (WCAG 2) of every text in a view against what is painted behind it. Evaluates to a function.
(root) => {
  const pixel = document.createElement("canvas").getContext("2d", { willReadFrequently: true });

  /** Any CSS colour as [red, green, blue, alpha], by painting it. */
  function rgba(color) {
    pixel.clearRect(0, 0, 1, 1);
    pixel.fillStyle = color;
    pixel.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = pixel.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  }

  const over = (top, bottom, alpha = top[3]) => [0, 1, 2].map((i) => top[i] * alpha + bottom[i] * (1 - alpha));
  const linear = (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  const luminance = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);

  function ratio(a, b) {
    const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
  }

  /** What is painted below an element at a point; that need not be its ancestors. */
  function groundOf(element, x, y) {
    const painted = document.elementsFromPoint(x, y);
    let own = element;
    while (!painted.includes(own)) own = own.parentElement; // an inline element may lie beside the point
    const layers = painted.slice(painted.indexOf(own)).map((layer) => getComputedStyle(layer).backgroundColor);
    return layers.reduceRight((ground, layer) => over(rgba(layer), ground), [255, 255, 255]);
  }

  const opacity = (element) =>
    element ? Number(getComputedStyle(element).opacity) * opacity(element.parentElement) : 1;

  const found = [];

  function check(element, text, box) {
    const ink = rgba(getComputedStyle(element).color);
    const alpha = ink[3] * opacity(element);
    if (alpha === 0 || !text.trim() || element.closest(".hs-sr, style, option, :disabled")) return;
    element.scrollIntoView({ block: "nearest" });
    const { left, top, width, height } = box();
    if (width < 1 || height < 1) return;
    const ground = groundOf(element, left + width / 2, top + height / 2);
    const sign = Boolean(element.closest(".hs-mark, .hs-ghost-mark"));
    found.push({ text: text.trim(), sign, ratio: ratio(over(ink, ground, alpha), ground) });
  }

  function checkDocument() {
    const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      const range = document.createRange();
      range.selectNodeContents(texts.currentNode);
      check(texts.currentNode.parentElement, texts.currentNode.data, () => range.getBoundingClientRect());
    }
    for (const field of root.querySelectorAll("textarea"))
      check(field, field.value, () => field.getBoundingClientRect());
  }

  /** Numbers painted in the grid: the pixel that stands out most from its cell's ground, cell by cell. */
  function checkCanvas() {
    const canvas = root.querySelector('[data-hs="cells"] canvas');
    if (!canvas) return;
    const grid = canvas.closest('[role="grid"]') ?? root.querySelector('[data-hs="grid"]');
    // A canvas that shows a part of its cells is as large as what is seen.
    if (canvas.offsetWidth < canvas.parentElement.offsetWidth - 1) return;
    const [rows, columns] = ["aria-rowcount", "aria-colcount"].map((name) => Number(grid.getAttribute(name)));
    const sheet = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
    sheet.drawImage(canvas, 0, 0);
    const [width, height] = [canvas.width / columns, canvas.height / rows].map(Math.floor);
    for (const cell of root.querySelectorAll('[data-hs="cell"]')) {
      const [row, column] = [Math.floor(cell.dataset.cell / columns), cell.dataset.cell % columns];
      const [left, top] = [column * width + 4, (rows - 1 - row) * height + 4]; // row 0 is the lowest
      const { data } = sheet.getImageData(left, top, width - 8, height - 8);
      const pixels = Array.from({ length: data.length / 4 }, (_, i) => data.subarray(4 * i, 4 * i + 3));
      const best = Math.max(...pixels.map((other) => ratio(other, pixels[0])));
      found.push({ text: cell.textContent, sign: cell.textContent.includes("are equal"), ratio: best });
    }
  }

  checkDocument();
  checkCanvas();
  return found;
}
