import type { BuildOptions, Metafile } from "esbuild";

interface Size {
  name: string;
  bytes: number;
  own: number;
  ownBudget: number;
  shared: number;
  sharedBudget: number;
  libraries: number;
  librariesBudget: number;
}

export const bundles: string[];
export const options: BuildOptions;
export function viewsModule(): string;
export function sizes(metafile: Metafile): Size[];
