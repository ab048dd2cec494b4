import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type KernelEvent, Rpc } from "../../js/lib/rpc";
import { modelWithKernel } from "./helpers";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function setUp() {
  const kernel = modelWithKernel({});
  const rpc = new Rpc(kernel.model);
  const seen: KernelEvent[] = [];
  rpc.onEvent((event) => seen.push(event));
  return { ...kernel, rpc, seen };
}

test("a request goes out with kind, id, method and params", () => {
  const { rpc, sent } = setUp();
  const id = rpc.request("edit", { pair: 1 });
  expect(sent).toEqual([{ kind: "request", id, method: "edit", params: { pair: 1 } }]);
});

test("events of a superseded request are dropped, those of the newest arrive", () => {
  const { rpc, sent, answer, seen } = setUp();
  rpc.request("edit", {});
  rpc.request("edit", {});
  answer("result", sent[0]);
  answer("result", sent[1]);
  expect(seen.map((event) => event.id)).toEqual([sent[1]?.id]);
});

test("a request supersedes only those of its own method", () => {
  const { rpc, sent, answer, seen } = setUp();
  rpc.request("activation_patching", {});
  rpc.request("cancel", {});
  answer("partial", sent[0]);
  expect(seen).toHaveLength(1);
});

test("events of sweeps that Python started are accepted", () => {
  const { model, rpc, seen } = setUp();
  rpc.request("activation_patching", {});
  model.receive({ kind: "event", id: "py-7", event: "partial" });
  expect(seen).toHaveLength(1);
});

test("messages that are no events are ignored", () => {
  const { model, seen } = setUp();
  for (const message of [null, "event", { kind: "event" }, { kind: "other", id: "1", event: "result" }]) {
    model.receive(message);
  }
  expect(seen).toEqual([]);
});

test("waiting is said after 400 ms, more is said after 10 s, and any event ends it", () => {
  const { rpc, answer } = setUp();
  rpc.request("edit", {});
  vi.advanceTimersByTime(399);
  expect(rpc.waiting.get()).toBe("no");
  vi.advanceTimersByTime(1);
  expect(rpc.waiting.get()).toBe("short");
  vi.advanceTimersByTime(9_600);
  expect(rpc.waiting.get()).toBe("long");
  answer("accepted");
  expect(rpc.waiting.get()).toBe("no");
});

test("an answer within 400 ms leaves waiting unsaid", () => {
  const { rpc, answer } = setUp();
  rpc.request("edit", {});
  answer("accepted");
  vi.advanceTimersByTime(60_000);
  expect(rpc.waiting.get()).toBe("no");
});

test("typing on does not put off that the kernel is waited for", () => {
  const { rpc } = setUp();
  rpc.request("edit", {});
  vi.advanceTimersByTime(300);
  rpc.request("edit", {});
  vi.advanceTimersByTime(100);
  expect(rpc.waiting.get()).toBe("short");
});

test("nothing is delivered and no timer runs after dispose", () => {
  const { rpc, answer, seen } = setUp();
  rpc.request("edit", {});
  rpc.dispose();
  answer("result");
  expect(seen).toEqual([]);
  expect(vi.getTimerCount()).toBe(0);
});
