import { Answer, Bundle, EdgexlError, Explanation, Info, ListedLabel, OpenOptions, PredictOptions } from "./edgexl.js";
export * from "./edgexl.js";
/** Where the bundle is that comes with this package. */
export const bundleUrl: URL;
export interface PackageOptions extends OpenOptions { source?: string | URL | BufferSource }
/** Opens the bundle that comes with this package: fetched once, checked, kept. */
export function open(options?: PackageOptions): Promise<Bundle>;
export interface WorkerBundle {
  readonly info: Info;
  predict(text: string, options?: PredictOptions): Promise<Answer>;
  predictBatch(texts: string[], options?: PredictOptions): Promise<Answer[]>;
  explain(text: string, id: string): Promise<Explanation>;
  selfTest(): Promise<{ goldens: number; largestProbabilityDifference: number }>;
  complete(prefix: string, limit?: number): Promise<ListedLabel[]>;
  labels(): Promise<ListedLabel[]>;
  addLabel(label: { id: string; text: string; replace?: boolean }): Promise<void>;
  retireLabel(id: string): Promise<void>;
  changes(): Promise<Uint8Array | null>;
  close(): void;
}
/** The same in a worker. `wasm` and `source` are URLs or bytes there. */
export function openInWorker(options?: Omit<PackageOptions, "onProgress"> & { onProgress?: OpenOptions["onProgress"] }): Promise<WorkerBundle>;
