// Exports tables for spreadsheets.

/** A spreadsheet would take a token such as "=" for the start of a formula. */
export function plainCell(text: string): string {
  return /^[=+\-@]/.test(text) ? `'${text}` : text;
}

/** A number with `digits` digits; empty if there is no number. */
export function numberCell(value: number | undefined, digits = 6): string {
  return value === undefined || !Number.isFinite(value) ? "" : String(Number(value.toPrecision(digits)));
}

/** Comma-separated values; fields with a comma, a quote or a line break are quoted. */
export function toCsv(rows: readonly (readonly string[])[]): string {
  const field = (text: string) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  return rows.map((row) => `${row.map(field).join(",")}\n`).join("");
}

export function toTsv(rows: readonly (readonly string[])[]): string {
  return rows.map((row) => `${row.join("\t")}\n`).join("");
}
