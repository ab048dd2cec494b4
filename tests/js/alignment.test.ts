import fc from "fast-check";
import { expect, test } from "vitest";
import {
  columnsOf,
  linkBetween,
  linksOf,
  tokenAfterKey,
  withLink,
  withoutLinksOf,
} from "../../js/panels/prompt_pair_editor/alignment";
import type { Link } from "../../js/panels/prompt_pair_editor/types";

const list = (ids: number[]) => ({ ids, tokens: ids.map(String) });
const LISTS = { clean: list([1, 2, 3]), corrupt: list([1, 7, 8, 3]) };

test("tokens that are linked share a column, the others have one of their own", () => {
  expect(
    columnsOf(
      [
        [0, 0],
        [2, 3],
      ],
      LISTS,
    ),
  ).toEqual([
    { clean: 0, corrupt: 0, same: true },
    { clean: 1, corrupt: null, same: false },
    { clean: null, corrupt: 1, same: false },
    { clean: null, corrupt: 2, same: false },
    { clean: 2, corrupt: 3, same: true },
  ]);
});

test("a linked pair that differs is marked", () => {
  expect(columnsOf([[1, 1]], LISTS)[2]).toEqual({ clean: 1, corrupt: 1, same: false });
});

test("links of tokens that are not there are left out", () => {
  const columns = columnsOf(
    [
      [0, 0],
      [9, 9],
    ],
    LISTS,
  );
  expect(linksOf(columns)).toEqual([[0, 0]]);
  expect(columns).toHaveLength(6);
});

test("a link is between the prompts, whichever token was first", () => {
  const clean = { run: "clean", index: 4 } as const;
  const corrupt = { run: "corrupt", index: 5 } as const;
  expect(linkBetween(clean, corrupt)).toEqual([4, 5]);
  expect(linkBetween(corrupt, clean)).toEqual([4, 5]);
  expect(linkBetween(clean, { run: "clean", index: 1 })).toBeNull();
});

test("a new link takes the place of those that it crosses or shares a token with", () => {
  const links: Link[] = [
    [0, 0],
    [1, 1],
    [2, 2],
    [3, 3],
  ];
  expect(withLink(links, [1, 2])).toEqual([
    [0, 0],
    [1, 2],
    [3, 3],
  ]);
  expect(withoutLinksOf(links, { run: "corrupt", index: 2 })).toEqual([
    [0, 0],
    [1, 1],
    [3, 3],
  ]);
});

test("links rise strictly after any edits, and their columns hold every token once", () => {
  const link = fc.tuple(fc.nat(6), fc.nat(8));
  fc.assert(
    fc.property(fc.array(link), (edits) => {
      const links = edits.reduce<Link[]>(withLink, []);
      for (const [i, [a, b]] of links.entries()) {
        const [c, d] = links[i + 1] ?? [99, 99];
        expect(a < c && b < d).toBe(true);
      }
      const newest = edits.at(-1);
      if (newest) expect(links).toContainEqual(newest);
      const columns = columnsOf(links, {
        clean: list([...Array(7).keys()]),
        corrupt: list([...Array(9).keys()]),
      });
      expect(linksOf(columns)).toEqual(links);
      expect(columns.flatMap(({ clean }) => clean ?? [])).toEqual([...Array(7).keys()]);
      expect(columns.flatMap(({ corrupt }) => corrupt ?? [])).toEqual([...Array(9).keys()]);
    }),
  );
});

test("arrows lead along a prompt and across to the counterpart, or to what is nearest to one", () => {
  const columns = columnsOf(
    [
      [0, 0],
      [2, 3],
    ],
    LISTS,
  );
  const at = (run: "clean" | "corrupt", index: number, key: string) =>
    tokenAfterKey(columns, { run, index }, key);
  expect(at("clean", 0, "ArrowRight")).toEqual({ run: "clean", index: 1 });
  expect(at("clean", 2, "ArrowRight")).toBeNull();
  expect(at("clean", 0, "ArrowLeft")).toBeNull();
  expect(at("corrupt", 1, "End")).toEqual({ run: "corrupt", index: 3 });
  expect(at("corrupt", 1, "Home")).toEqual({ run: "corrupt", index: 0 });
  expect(at("clean", 2, "ArrowDown")).toEqual({ run: "corrupt", index: 3 });
  expect(at("clean", 1, "ArrowDown")).toEqual({ run: "corrupt", index: 1 });
  expect(at("corrupt", 3, "ArrowUp")).toEqual({ run: "clean", index: 2 });
  expect(at("clean", 0, "ArrowUp")).toBeNull();
  expect(at("clean", 0, "x")).toBeNull();
});
