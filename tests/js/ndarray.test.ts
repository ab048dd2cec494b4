import { expect, test } from "vitest";
import { decodeBytes, decodeFloats, decodeInts } from "../../js/lib/ndarray";

test("float32 is read as little-endian, NaN and infinities included", () => {
  // numpy: base64.b64encode(np.array([1, -2.5, np.nan, np.inf], "<f4").tobytes())
  const values = decodeFloats({ dtype: "float32", shape: [2, 2], data: "AACAPwAAIMAAAMB/AACAfw==" });
  expect([...values]).toEqual([1, -2.5, Number.NaN, Number.POSITIVE_INFINITY]);
});

test("int32 is read as little-endian and signed", () => {
  expect([...decodeInts({ dtype: "int32", shape: [3], data: "AQAAAP////8AAQAA" })]).toEqual([1, -1, 256]);
});

test("uint8 is read byte by byte", () => {
  expect([...decodeBytes({ dtype: "uint8", shape: [3], data: "AAL/" })]).toEqual([0, 2, 255]);
});

test("rounded numbers are near by a thousandth of the largest in their row", () => {
  // encode_rounded(np.array([[1, -2.5, 0.01, 0], [np.nan, np.inf, -1e-3, 2e-3]], np.float32))
  const data = "AAAgQG8SAztgACfo/v8l0AYABAMPDwEH";
  const values = decodeFloats({ dtype: "rounded", shape: [2, 4], data });
  const expected = [0.99856, -2.5, 0.0099225, 0, Number.NaN, Number.POSITIVE_INFINITY, -0.0009997, 0.002];
  for (const [i, value] of expected.entries())
    if (Number.isFinite(value)) expect(values[i]).toBeCloseTo(value, 6);
    else expect(values[i]).toBe(value);
});

test("an empty array is empty", () => {
  expect(decodeFloats({ dtype: "float32", shape: [0, 3], data: "" })).toHaveLength(0);
});

test("too few bytes for the shape are refused", () => {
  expect(() => decodeFloats({ dtype: "float32", shape: [2], data: "AACAPw==" })).toThrow(/shape 2/);
});

test("another type than expected is refused", () => {
  expect(() => decodeInts({ dtype: "float32", shape: [1], data: "AACAPw==" })).toThrow(/int32/);
});
