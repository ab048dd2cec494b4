import { vi } from "vitest";

/** Waits until the check passes. The long limit is for machines under load: what never comes fails all the same. */
export const eventually = (check: () => void) => vi.waitFor(check, { timeout: 20_000 });
