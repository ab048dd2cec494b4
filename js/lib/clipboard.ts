// Copies text to the clipboard, and offers files for download.

export async function copyText(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    copyBySelection(text);
  }
}

function download(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

export function saveFile(content: string | Uint8Array<ArrayBuffer>, name: string, type: string): void {
  download(new Blob([content], { type }), name);
}

export function saveCsv(text: string, name: string): void {
  saveFile(text, `${name}.csv`, "text/csv");
}

export function savePng(canvas: HTMLCanvasElement, name: string): void {
  canvas.toBlob((blob) => blob && download(blob, `${name}.png`));
}

/** Pages without https, and frames without the permission, have no clipboard API. */
function copyBySelection(text: string): void {
  const area = document.createElement("textarea");
  area.value = text;
  area.style.position = "fixed";
  area.style.opacity = "0";
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}
