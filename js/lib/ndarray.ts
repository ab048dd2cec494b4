// Arrays as Python sends them: little-endian bytes in base64, with their type and shape. Every machine that a browser
// runs on is little-endian itself.

export interface ArrayJson {
  dtype: "float32" | "int32" | "uint8";
  shape: number[];
  data: string;
}

export function decodeFloats(json: ArrayJson): Float32Array {
  return new Float32Array(bytesOf(json, "float32", 4));
}

export function decodeInts(json: ArrayJson): Int32Array {
  return new Int32Array(bytesOf(json, "int32", 4));
}

export function decodeBytes(json: ArrayJson): Uint8Array {
  return new Uint8Array(bytesOf(json, "uint8", 1));
}

export function sizeOf(shape: number[]): number {
  return shape.reduce((product, n) => product * n, 1);
}

function bytesOf(json: ArrayJson, dtype: ArrayJson["dtype"], width: number): ArrayBuffer {
  if (json.dtype !== dtype) throw new Error(`expected an array of ${dtype}, got ${json.dtype}`);
  const text = atob(json.data);
  if (text.length !== sizeOf(json.shape) * width) {
    throw new Error(`array of shape ${json.shape.join(" × ")} has ${text.length} bytes`);
  }
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes.buffer;
}
