// Arrays as they cross from Python: base64 of little-endian bytes beside their type and shape.

export interface ArrayJson {
  dtype: "float32" | "int32" | "uint8";
  shape: number[];
  data: string;
}

export function decodeFloats(json: ArrayJson): Float32Array {
  const view = bytesOf(json, "float32", 4);
  return Float32Array.from({ length: view.byteLength / 4 }, (_, i) => view.getFloat32(i * 4, true));
}

export function decodeInts(json: ArrayJson): Int32Array {
  const view = bytesOf(json, "int32", 4);
  return Int32Array.from({ length: view.byteLength / 4 }, (_, i) => view.getInt32(i * 4, true));
}

export function decodeBytes(json: ArrayJson): Uint8Array {
  const view = bytesOf(json, "uint8", 1);
  return new Uint8Array(view.buffer);
}

export function sizeOf(shape: number[]): number {
  return shape.reduce((product, n) => product * n, 1);
}

function bytesOf(json: ArrayJson, dtype: ArrayJson["dtype"], width: number): DataView {
  if (json.dtype !== dtype) throw new Error(`expected an array of ${dtype}, got ${json.dtype}`);
  const text = atob(json.data);
  if (text.length !== sizeOf(json.shape) * width) {
    throw new Error(`array of shape ${json.shape.join(" × ")} has ${text.length} bytes`);
  }
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return new DataView(bytes.buffer);
}
