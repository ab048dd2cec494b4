import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type KernelEvent, Rpc } from "../../js/lib/rpc";
import { MemoryModel } from "../../js/report/memory_model";
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
  const id = rpc.requestNamed("edit", { pair: 1 });
  expect(sent).toEqual([{ kind: "request", id, method: "edit", params: { pair: 1 } }]);
});

test("events of a superseded request are dropped, those of the newest arrive", () => {
  const { rpc, sent, answer, seen } = setUp();
  rpc.requestNamed("edit", {});
  rpc.requestNamed("edit", {});
  answer("result", sent[0]);
  answer("result", sent[1]);
  expect(seen.map((event) => event.id)).toEqual([sent[1]?.id]);
});

test("a request supersedes only those of its own method", () => {
  const { rpc, sent, answer, seen } = setUp();
  rpc.requestNamed("activation_patching", {});
  rpc.requestNamed("cancel", {});
  answer("partial", sent[0]);
  expect(seen).toHaveLength(1);
});

test("events of sweeps that Python started are accepted", () => {
  const { model, rpc, seen } = setUp();
  rpc.requestNamed("activation_patching", {});
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

test("waiting is said after 400 ms, more is said after 10 s, and the answer ends it", () => {
  const { rpc, answer } = setUp();
  rpc.requestNamed("edit", {});
  vi.advanceTimersByTime(399);
  expect(rpc.waiting.get()).toBe("no");
  vi.advanceTimersByTime(1);
  expect(rpc.waiting.get()).toBe("short");
  vi.advanceTimersByTime(9_600);
  expect(rpc.waiting.get()).toBe("long");
  answer("accepted");
  expect(rpc.waiting.get()).toBe("no");
});

test("what an older sweep sends does not end the waiting: the kernel has not taken the request yet", () => {
  const { model, rpc, seen } = setUp();
  rpc.requestNamed("edit", {});
  vi.advanceTimersByTime(400);
  model.receive({ kind: "event", id: "py-7", event: "partial" });
  expect(seen).toHaveLength(1);
  expect(rpc.waiting.get()).toBe("short");
  vi.advanceTimersByTime(9_600);
  expect(rpc.waiting.get()).toBe("long");
});

test("the newest answer says that the kernel has taken the older requests too", () => {
  const { rpc, sent, answer } = setUp();
  rpc.requestNamed("edit", {});
  rpc.requestNamed("cancel", {});
  vi.advanceTimersByTime(400);
  answer("accepted", sent[0]);
  expect(rpc.waiting.get()).toBe("short");
  answer("accepted", sent[1]);
  expect(rpc.waiting.get()).toBe("no");
  rpc.requestNamed("edit", {});
  rpc.requestNamed("edit", {});
  answer("accepted", sent[3]);
  expect(vi.getTimerCount()).toBe(0);
});

test.each(["result", "error", "cancelled"])("a request is pending until its %s", (end) => {
  const { rpc, sent, answer } = setUp();
  rpc.requestNamed("lens", {});
  rpc.requestNamed("lens", {});
  const pending = () => rpc.pending.get().get("lens");
  expect(pending()).toBe(sent[1]?.id);
  answer("accepted", sent[1]);
  answer("window", sent[1]);
  answer(end, sent[0]);
  expect(pending()).toBe(sent[1]?.id);
  answer(end, sent[1]);
  expect(pending()).toBeUndefined();
});

test("a request that can't be sent is pending and waited for, since nobody will answer", () => {
  const model = new MemoryModel({}, () => {
    throw new Error("the comm is closed");
  });
  const rpc = new Rpc(model);
  rpc.requestNamed("edit", {});
  expect(rpc.waiting.get()).toBe("long");
  expect(rpc.pending.get().has("edit")).toBe(true);
});

test("an answer within 400 ms leaves waiting unsaid", () => {
  const { rpc, answer } = setUp();
  rpc.requestNamed("edit", {});
  answer("accepted");
  vi.advanceTimersByTime(60_000);
  expect(rpc.waiting.get()).toBe("no");
});

test("typing on does not put off that the kernel is waited for", () => {
  const { rpc } = setUp();
  rpc.requestNamed("edit", {});
  vi.advanceTimersByTime(300);
  rpc.requestNamed("edit", {});
  vi.advanceTimersByTime(100);
  expect(rpc.waiting.get()).toBe("short");
});

test("nothing is delivered and no timer runs after dispose", () => {
  const { rpc, answer, seen } = setUp();
  rpc.requestNamed("edit", {});
  rpc.dispose();
  answer("result");
  expect(seen).toEqual([]);
  expect(vi.getTimerCount()).toBe(0);
});
