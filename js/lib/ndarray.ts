// Arrays as Python sends them: little-endian bytes in base64, with their type and shape. Every machine that a browser
// runs on is little-endian itself.

export interface ArrayJson {
  dtype: "float32" | "int32" | "uint8" | "rounded";
  shape: number[];
  data: string;
}

export function decodeFloats(json: ArrayJson): Float32Array {
  return json.dtype === "rounded"
    ? fromRounded(json)
    : new Float32Array(bytesOf(json, "float32", 4 * sizeOf(json.shape)));
}

export function decodeInts(json: ArrayJson): Int32Array {
  return new Int32Array(bytesOf(json, "int32", 4 * sizeOf(json.shape)));
}

export function decodeBytes(json: ArrayJson): Uint8Array {
  return new Uint8Array(bytesOf(json, "uint8", sizeOf(json.shape)));
}

export function sizeOf(shape: number[]): number {
  return shape.reduce((product, n) => product * n, 1);
}

/** Numbers that Python's `encode_rounded` wrote, which says what they are. */
const [LEVELS, NOT_A_NUMBER, INFINITE] = [1000, 4094, 4095];

function fromRounded(json: ArrayJson): Float32Array {
  const numbers = sizeOf(json.shape);
  const rows = sizeOf(json.shape.slice(0, -1));
  const bytes = bytesOf(json, "rounded", 4 * rows + 2 * numbers);
  const largest = new Float32Array(bytes, 0, rows);
  const [low, high] = [
    new Uint8Array(bytes, 4 * rows, numbers),
    new Uint8Array(bytes, 4 * rows + numbers, numbers),
  ];
  // One for each code, because there may be millions of numbers.
  const shares = Float32Array.from(
    { length: INFINITE + 1 },
    (_, code) => Math.sign(code - LEVELS) * (code / LEVELS - 1) ** 2,
  );
  shares[NOT_A_NUMBER] = Number.NaN;
  shares[INFINITE] = Number.POSITIVE_INFINITY;
  const columns = json.shape.at(-1) ?? 1;
  const values = new Float32Array(numbers);
  for (let row = 0, i = 0; row < rows; row++) {
    const end = largest[row] as number;
    for (const stop = i + columns; i < stop; i++) {
      const code = (low[i] as number) + 256 * (high[i] as number);
      const share = shares[code] as number;
      values[i] = code < NOT_A_NUMBER ? share * end : share;
    }
  }
  return values;
}

function bytesOf(json: ArrayJson, dtype: ArrayJson["dtype"], length: number): ArrayBuffer {
  if (json.dtype !== dtype) throw new Error(`expected an array of ${dtype}, got ${json.dtype}`);
  const text = atob(json.data);
  if (text.length !== length) {
    throw new Error(`array of shape ${json.shape.join(" × ")} has ${text.length} bytes`);
  }
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes.buffer;
}
