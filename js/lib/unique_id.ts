import { useState } from "preact/hooks";

export const randomId = (): string => `hs-${Math.random().toString(36).slice(2, 10)}`;

/** Preact's own useId restarts its count in every widget on a page. */
export const useUniqueId = (): string => useState(randomId)[0];
