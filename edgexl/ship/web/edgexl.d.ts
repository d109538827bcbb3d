/** A label of an answer, with its calibrated probability. */
export interface Label { id: string; text: string; probability: number; logit: number; index: number }
export interface Answer {
  /** Best first. */
  labels: Label[];
  /** The best label is likely to be wrong. */
  noneFits: boolean;
  /** The labels have the coverage that was asked for. */
  coverageHolds: boolean;
  tokens: number; truncated: boolean; windows: number; ms: number;
}
export interface PredictOptions {
  /** At most so many labels; 0 or none: 5, or all with a threshold or a coverage. */
  k?: number;
  /** Only labels at least this probable; negative: the bundle's own threshold. */
  threshold?: number | null;
  /** The smallest set that holds a right label with this probability. */
  coverage?: number;
  windows?: number;
}
export interface ReceiptOptions extends PredictOptions {
  /** The app's secret, of 16 bytes or more. */
  key: string | Uint8Array;
  /** Up to 4096 bytes of the app's own. */
  note?: string | Uint8Array;
  /** A number of the app's own, such as seconds since 1970. */
  time?: number;
}
export interface Explanation {
  screeningRank: number; screeningScore: number; shortlisted: boolean; reasonerRank: number; logit: number;
  probability: number; foundBy: "text" | "alias" | "description";
}
export interface ListedLabel { id: string; text: string; state: "compiled" | "added" | "retired" }
export interface Info {
  labels: number; compiledLabels: number; rows: number; dims: number; shortlist: number; maxTokens: number;
  goldens: number; threshold: number; windows: number; format: string; kernel: string;
}
export interface OpenOptions {
  /** Where edgexl.wasm is, its bytes, or it compiled. Default: beside the script. */
  wasm?: string | URL | BufferSource | WebAssembly.Module;
  /** What `changes` gave in an earlier life. */
  changes?: Uint8Array | null;
  /** The bundle's length and SHA-256 (hexadecimal), which are checked; with a hash it is kept by the Cache API. */
  bytes?: number; sha256?: string;
  cache?: boolean;
  /** Hash every section of the bundle, too. */
  verify?: boolean;
  onProgress?: ((done: number, total: number) => void) | null;
  /** Public keys of minisign's, one of which must have signed the bundle. Default: those that the package was made with. */
  keys?: readonly string[];
  /** The least version that the signer may have given it. */
  leastVersion?: number;
  /** The signature of a bundle that does not hold it. */
  signature?: string | Uint8Array | null;
}
export interface UpdateOptions extends OpenOptions {
  /** The signature of the patch itself, which one of the keys must have made. */
  patchSignature?: string | Uint8Array | null;
  /** Refuse a patch that is not signed. */
  signedPatch?: boolean;
}
/** Not shared, in whatever TypeScript: what `fetch`, `Response` and `open` take. */
export type Bytes = Uint8Array & { readonly buffer: ArrayBuffer };
/** The new bundle, open, and its bytes, to be kept. */
export interface Updated { bundle: Bundle; bytes: Bytes }
export class EdgexlError extends Error { readonly status: number }
/** What is to be signed of a receipt. */
export function recordOf(receipt: Uint8Array): Uint8Array;
/** A receipt with a signature of its record, of 8192 bytes at most. */
export function addSignature(receipt: Uint8Array, signature: Uint8Array): Uint8Array;
export class Bundle {
  static open(source: string | URL | BufferSource, options?: OpenOptions): Promise<Bundle>;
  /** Makes the new bundle of an old one and a patch, and opens it; `changes` of the old one are made again. */
  static update(old: string | URL | BufferSource, patch: string | URL | BufferSource, options?: UpdateOptions): Promise<Updated>;
  get info(): Info;
  get version(): string;
  predict(text: string, options?: PredictOptions): Answer;
  predictBatch(texts: Iterable<string>, options?: PredictOptions): Answer[];
  receipt(text: string, options: ReceiptOptions): { receipt: Uint8Array; answer: Answer };
  explain(text: string, id: string): Explanation;
  selfTest(): { goldens: number; largestProbabilityDifference: number };
  complete(prefix: string, limit?: number): ListedLabel[];
  labels(): Generator<ListedLabel>;
  addLabel(label: { id: string; text: string; replace?: boolean }): void;
  retireLabel(id: string): void;
  changes(): Uint8Array | null;
  close(): void;
}
