import type { BuildOptions } from "esbuild";

export const bundles: { name: string; entry: string; budget: number }[];
export const options: BuildOptions;
