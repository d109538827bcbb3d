import { Answer, Bundle, Bytes, EdgexlError, Explanation, Info, ListedLabel, OpenOptions, PredictOptions, ReceiptOptions, Updated, UpdateOptions } from "./edgexl.js";
export * from "./edgexl.js";
/** Where the bundle is that comes with this package. */
export const bundleUrl: URL;
export interface PackageOptions extends OpenOptions { source?: string | URL | BufferSource }
/** Opens the bundle that comes with this package, fetched once, checked and kept; or what `update` has made of it. */
export function open(options?: PackageOptions): Promise<Bundle>;
export interface PackageUpdateOptions extends UpdateOptions { source?: string | URL | BufferSource }
/** Makes the next bundle of the one that `open` opens and a patch. Where there is the Cache API it is kept, and `open`
 * opens it until this package brings another bundle. */
export function update(patch: string | URL | BufferSource, options?: PackageUpdateOptions): Promise<Updated>;
export interface WorkerBundle {
  readonly info: Info;
  predict(text: string, options?: PredictOptions): Promise<Answer>;
  predictBatch(texts: string[], options?: PredictOptions): Promise<Answer[]>;
  receipt(text: string, options: ReceiptOptions): Promise<{ receipt: Uint8Array; answer: Answer }>;
  explain(text: string, id: string): Promise<Explanation>;
  selfTest(): Promise<{ goldens: number; largestProbabilityDifference: number }>;
  complete(prefix: string, limit?: number): Promise<ListedLabel[]>;
  labels(): Promise<ListedLabel[]>;
  addLabel(label: { id: string; text: string; replace?: boolean }): Promise<void>;
  retireLabel(id: string): Promise<void>;
  changes(): Promise<Uint8Array | null>;
  /** Answers with the new bundle from then on; changes of labels are made again. */
  update(patch: string | URL | BufferSource, options?: PackageUpdateOptions): Promise<{ bytes: Bytes; info: Info }>;
  close(): void;
}
/** The same in a worker. `wasm` and `source` are URLs or bytes there. */
export function openInWorker(options?: Omit<PackageOptions, "onProgress"> & { onProgress?: OpenOptions["onProgress"] }): Promise<WorkerBundle>;
