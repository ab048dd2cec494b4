import { expect, test } from "vitest";
import { NOWHERE, Pointed } from "../../../js/panels/attention_viewer/pointed";

const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
const row = (position: number) => ({ ...NOWHERE, position });

test("what is moved follows in every frame, the numbers and the text in turn, and both in the end", async () => {
  const pointed = new Pointed(NOWHERE);
  const heard = { moved: 0, numbers: 0, text: 0 };
  pointed.subscribe(() => heard.moved++);
  pointed.numbers.subscribe(() => heard.numbers++);
  pointed.text.subscribe(() => heard.text++);
  for (let i = 0; i < 8; i++) {
    pointed.at(row(i));
    await frame();
  }
  expect(heard.moved).toBe(8);
  expect(Math.abs(heard.numbers - heard.text)).toBeLessThanOrEqual(1);
  expect(heard.numbers + heard.text).toBe(8);
  await frame();
  await frame();
  for (const place of [pointed, pointed.numbers, pointed.text]) expect(place.get()).toEqual(row(7));
  expect(heard.numbers + heard.text).toBe(9);
});

test("several moves in one frame are one, and a move to the same place is none", async () => {
  const pointed = new Pointed(NOWHERE);
  const places: unknown[] = [];
  pointed.subscribe(() => places.push(pointed.get()));
  pointed.at(row(1));
  pointed.at(row(2));
  await frame();
  pointed.at(row(2));
  await frame();
  await frame();
  expect(places).toEqual([row(2)]);
});
