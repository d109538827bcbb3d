/* The edgexl runtime as WebAssembly: opens a bundle and answers texts. For pages, workers, service workers and Node. */

const NONE = -2; // a threshold that the module takes for none
const NO_SUCH_LABEL = 104;
const MOST_BYTES = 2 ** 32 - 65536; // of a module's memory
const FOUND_BY = ["text", "alias", "description"];
const STATES = ["compiled", "added", "retired"];
const FILES = "node:fs/promises"; // Node's alone: no bundler is to look for it
// What `edgexl ship --key` was given: one of these keys must have signed a bundle.
const TRUSTED_KEYS = [{keys}];
const LEAST_VERSION = {least_version};
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** What the runtime refuses, in one sentence; `status` is its number in edgexl.h. */
export class EdgexlError extends Error {
  constructor(sentence, status) {
    super(sentence);
    this.name = "EdgexlError";
    this.status = status;
  }
}

/** What is to be signed of a receipt: all of it but its signature. */
export function recordOf(receipt) {
  return receipt.slice(0, new DataView(receipt.buffer, receipt.byteOffset).getUint32(12, true));
}

/** A receipt with a signature of its record. */
export function addSignature(receipt, signature) {
  if (signature.length > 8192) throw new EdgexlError("a receipt's signature has 8192 bytes at most", 100);
  const record = recordOf(receipt);
  const signed = new Uint8Array(record.length + 4 + signature.length);
  signed.set(record);
  new DataView(signed.buffer).setUint32(record.length, signature.length, true);
  signed.set(signature, record.length + 4);
  return signed;
}

/** An open bundle. All methods but `open` are synchronous; a worker keeps a page fluent (see worker.js). */
export class Bundle {
  #module;
  #start = 0;

  /** Opens a bundle from a URL or from bytes. `wasm`: where the module is, or its bytes. */
  static async open(source, options = {}) {
    const { wasm = new URL("./edgexl.wasm", import.meta.url), changes = null, verify = false, signature = null } = options;
    const { keys = TRUSTED_KEYS, leastVersion = options.keys ? 0 : LEAST_VERSION } = options;
    const bundle = new Bundle();
    bundle.#module = (await instantiate(wasm)).exports;
    if (changes) bundle.#give(changes, (at, length) => bundle.#withNumber(length, (l) => bundle.#module.web_changes(at, l)));
    for (const key of keys) bundle.#trust(key);
    bundle.#start = await bundle.#load(source, options);
    const length = bundle.#length;
    const open = (at, bytes) => bundle.#module.web_open(bundle.#start, length, verify ? 1 : 0, leastVersion, at, bytes);
    const signed = typeof signature === "string" ? encoder.encode(signature) : signature;
    try {
      bundle.#check(signed ? bundle.#give(signed, open) : open(0, 0));
    } catch (error) {
      bundle.#module = null;
      throw error;
    }
    return bundle;
  }

  /** Makes the new bundle of an old one and a patch, each a URL or bytes, and opens it as `open` does: signed as these
   * options say, and only if it reproduces its goldens. Gives the open `bundle`, and its `bytes` to keep. `changes`: what
   * the old bundle's `changes` gave, which is made again in the new one. `patchSignature`: that of the patch itself, which
   * one of the keys must have made; with `signedPatch` there must be one. */
  static async update(old, patch, options = {}) {
    const { wasm = new URL("./edgexl.wasm", import.meta.url), keys = TRUSTED_KEYS, changes = null } = options;
    const { source, bytes } = await new Bundle().#patch((await instantiate(wasm)).exports, keys, old, patch, options);
    const bundle = await Bundle.open(bytes, { ...options, changes: null });
    bundle.selfTest();
    if (changes) bundle.#take(await Bundle.open(source, { wasm, keys: [], changes }));
    return { bundle, bytes };
  }

  async #patch(module, keys, old, patch, { patchSignature = null, signedPatch = false, ...how }) {
    const m = (this.#module = module);
    for (const key of keys) this.#trust(key);
    const patchAt = await this.#load(patch);
    const patchBytes = this.#length;
    const verify = (at, bytes) => this.#check(m.web_patch_verify(patchAt, patchBytes, at, bytes));
    const signed = typeof patchSignature === "string" ? encoder.encode(patchSignature) : patchSignature;
    if (signed) this.#give(signed, verify);
    else if (signedPatch) verify(0, 0);
    const bytes = m.web_patched_bytes(patchAt, patchBytes);
    if (bytes < 0) this.#check(-bytes);
    const oldAt = await this.#load(old, how);
    const oldBytes = this.#length;
    if (bytes > MOST_BYTES) throw new EdgexlError("there is not enough memory", 200);
    const madeAt = this.#allocate(bytes);
    this.#check(m.web_patch(oldAt, oldBytes, patchAt, patchBytes, madeAt, bytes));
    const memory = new Uint8Array(m.memory.buffer);
    return { source: memory.subarray(oldAt, oldAt + oldBytes), bytes: memory.slice(madeAt, madeAt + bytes) };
  }

  /** Makes the changes of another bundle's labels again, as far as they are not in this one. */
  #take(other) {
    const compiled = other.info.compiledLabels;
    const changed = new Map();
    let number = 0;
    for (const label of other.labels())
      if (number++ < compiled ? label.state === "retired" : label.state === "added") changed.set(label.id, label);
    other.close();
    for (const { id, text, state } of changed.values()) {
      const here = this.#seek(id);
      if (state === "retired" && here) this.retireLabel(id);
      else if (state === "added" && here?.text !== text) this.addLabel({ id, text, replace: here !== null });
    }
  }

  #seek(id) {
    try {
      return this.#read(this.#find(id));
    } catch (error) {
      if (error.status === NO_SUCH_LABEL) return null;
      throw error;
    }
  }

  #length = 0;

  /** Sizes of the bundle and of its label set. */
  get info() {
    const of = (which) => this.#module.web_info(which);
    return {
      labels: of(8), compiledLabels: of(0), rows: of(1), dims: of(2), shortlist: of(3), maxTokens: of(4), goldens: of(5),
      threshold: of(6), windows: of(7), format: `${of(10)}.${of(11)}`, kernel: this.#string(this.#module.web_kernel()),
    };
  }

  /** The runtime's version. */
  get version() {
    return this.#string(this.#module.web_version());
  }

  /** Labels for a text, best first. */
  predict(text, { k = 0, threshold = null, coverage = 0, windows = 0 } = {}) {
    const m = this.#module;
    this.#withText(text, (at, bytes) =>
      this.#check(m.web_predict(at, bytes, k, threshold === null ? NONE : Math.max(threshold, -1), coverage, windows)));
    return this.#answer();
  }

  /** Labels for a text, and the receipt of this answer under a key: bytes that `edgexl replay` checks. */
  receipt(text, { key, note = "", time = 0, k = 0, threshold = null, coverage = 0, windows = 0 }) {
    const m = this.#module;
    const bytesOf = (content) => (typeof content === "string" ? encoder.encode(content) : content);
    const least = threshold === null ? NONE : Math.max(threshold, -1);
    this.#withText(text, (at, bytes) =>
      this.#give(bytesOf(key), (keyAt, keyBytes) =>
        this.#give(bytesOf(note), (noteAt, noteBytes) =>
          this.#check(m.web_receipt(at, bytes, k, least, coverage, windows, keyAt, keyBytes, noteAt, noteBytes, time)))));
    const at = m.web_receipt_at() >>> 0;
    const receipt = new Uint8Array(m.memory.buffer).slice(at, at + m.web_receipt_bytes());
    return { receipt, answer: this.#answer() };
  }

  #answer() {
    const m = this.#module;
    const labels = Array.from({ length: m.web_count() }, (_, i) => ({
      id: this.#string(m.web_id(i)), text: this.#string(m.web_text(i)), probability: m.web_probability(i),
      logit: m.web_logit(i), index: m.web_label(i) >>> 0,
    }));
    return {
      labels, noneFits: m.web_result(0) !== 0, tokens: m.web_result(1), truncated: m.web_result(2) !== 0,
      windows: m.web_result(3), coverageHolds: m.web_result(4) !== 0, ms: m.web_result(5),
    };
  }

  /** Labels for texts, in order. */
  predictBatch(texts, options = {}) {
    return Array.from(texts, (text) => this.predict(text, options));
  }

  /** The way of the label with this id through both stages. */
  explain(text, id) {
    const m = this.#module;
    const label = this.#find(id);
    this.#withText(text, (at, bytes) => this.#check(m.web_explain(at, bytes, label)));
    const of = (which) => m.web_explanation(which);
    return {
      screeningRank: of(0), screeningScore: of(1), shortlisted: of(2) !== 0, reasonerRank: of(3), logit: of(4),
      probability: of(5), foundBy: FOUND_BY[of(6)],
    };
  }

  /** Answers the bundle's goldens; throws where one differs. */
  selfTest() {
    this.#check(this.#module.web_self_test());
    return { goldens: this.#module.web_report(0), largestProbabilityDifference: this.#module.web_report(2) };
  }

  /** The first labels whose text begins with a prefix. */
  complete(prefix, limit = 10) {
    const m = this.#module;
    const room = m.web_allocate(4 * limit + 4);
    try {
      this.#withText(prefix, (at, bytes) => this.#check(m.web_complete(at, bytes, 0, room + 4, limit, room)));
      const numbers = new Uint32Array(m.memory.buffer, room, limit + 1).slice();
      return Array.from(numbers.subarray(1, 1 + numbers[0]), (number) => this.#read(number));
    } finally {
      m.web_free(room);
    }
  }

  /** All labels, with their states. */
  *labels() {
    const end = this.#module.web_info(9);
    for (let number = 0; number < end; number++) yield this.#read(number);
  }

  /** Adds a label, which is found at once; `replace`: in the place of the one with this id. */
  addLabel({ id, text, replace = false }) {
    const add = this.#module.web_label_add;
    this.#withText(id, (idAt, idBytes) =>
      this.#withText(text, (at, bytes) => this.#check(add(idAt, idBytes, at, bytes, replace ? 1 : 0, 0))));
  }

  /** Takes a label out of the set. */
  retireLabel(id) {
    this.#withText(id, (at, bytes) => this.#check(this.#module.web_label_retire(at, bytes)));
  }

  /** What keeps the changes of labels, to be stored and given to `open` again; null: there are none. */
  changes() {
    return this.#withNumber(0, (length) => {
      const at = this.#module.web_changes(0, length);
      return at ? new Uint8Array(this.#module.memory.buffer).slice(at, at + this.#number(length)) : null;
    });
  }

  /** Lets go of all memory. */
  close() {
    this.#module = null;
  }

  // ---- memory

  async #load(source, { bytes = 0, sha256 = "", cache = true, onProgress = null } = {}) {
    const m = this.#module;
    if (source instanceof ArrayBuffer || ArrayBuffer.isView(source)) {
      const content = source instanceof ArrayBuffer ? new Uint8Array(source) : new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
      const at = this.#allocate(content.length);
      new Uint8Array(m.memory.buffer).set(content, at);
      return at;
    }
    const url = new URL(source, globalThis.location?.href);
    if (url.protocol === "file:") {
      const { readFile } = await import(/* webpackIgnore: true */ /* @vite-ignore */ FILES);
      return this.#load(await readFile(url), {});
    }
    const store = cache && sha256 && globalThis.caches ? await caches.open("edgexl").catch(() => null) : null;
    const key = `${url.href.split("#")[0]}${url.search ? "&" : "?"}sha256=${sha256}`;
    const kept = store ? await store.match(key) : undefined;
    const response = kept ?? (await fetch(url));
    if (!response.ok) throw new EdgexlError(`${url.href} cannot be fetched: ${response.status}`, 201);
    const at = await this.#receive(response, bytes, onProgress);
    if (sha256 && globalThis.crypto?.subtle) {
      const view = new Uint8Array(m.memory.buffer, at, this.#length);
      const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", view));
      const found = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
      if (found !== sha256) {
        if (store) await store.delete(key);
        throw new EdgexlError(`${url.href} is not the bundle that this package was made with: fetch it again`, 302);
      }
    }
    if (store && !kept) {
      // another version's bundle makes room; where there is none for this, the next visit fetches it again
      for (const old of await store.keys()) if (old.url.split("?")[0] === key.split("?")[0]) await store.delete(old);
      await store.put(key, new Response(new Uint8Array(m.memory.buffer).slice(at, at + this.#length))).catch(() => {});
    }
    return at;
  }

  /** Reads a response into the module's memory as it comes, where its length is known. */
  async #receive(response, bytes, onProgress) {
    const m = this.#module;
    if (!bytes || !response.body) {
      const content = new Uint8Array(await response.arrayBuffer());
      const at = this.#allocate(content.length);
      new Uint8Array(m.memory.buffer).set(content, at);
      return at;
    }
    const at = this.#allocate(bytes);
    let done = 0;
    for (const reader = response.body.getReader(); ; ) {
      const { value, done: ended } = await reader.read();
      if (ended) break;
      if (done + value.length > bytes) throw new EdgexlError("the bundle is longer than it should be", 302);
      new Uint8Array(m.memory.buffer).set(value, at + done);
      done += value.length;
      onProgress?.(done, bytes);
    }
    if (done !== bytes) throw new EdgexlError("the bundle is shorter than it should be: fetch it again", 302);
    return at;
  }

  #trust(key) {
    const content = encoder.encode(`${key}\0`);
    const at = this.#module.web_allocate(content.length) >>> 0;
    new Uint8Array(this.#module.memory.buffer).set(content, at);
    if (this.#module.web_trust(at) !== 0) throw new EdgexlError("there are too many keys", 100);
  }

  #allocate(bytes) {
    const at = this.#module.web_allocate(bytes) >>> 0;
    if (!at) throw new EdgexlError("there is not enough memory", 200);
    this.#length = bytes;
    return at;
  }

  #give(content, use) {
    const at = this.#module.web_allocate(content.length) >>> 0;
    if (!at) throw new EdgexlError("there is not enough memory", 200);
    try {
      new Uint8Array(this.#module.memory.buffer).set(content, at);
      return use(at, content.length);
    } finally {
      this.#module.web_free(at);
    }
  }

  #withText(text, use) {
    if (!this.#module) throw new EdgexlError("the bundle is closed", 100);
    return this.#give(encoder.encode(text), use);
  }

  #withNumber(value, use) {
    const at = this.#module.web_allocate(4) >>> 0;
    try {
      new DataView(this.#module.memory.buffer).setUint32(at, value, true);
      return use(at);
    } finally {
      this.#module.web_free(at);
    }
  }

  #number(at) {
    return new DataView(this.#module.memory.buffer).getUint32(at, true);
  }

  #string(at) {
    const memory = new Uint8Array(this.#module.memory.buffer);
    return decoder.decode(memory.subarray(at >>> 0, memory.indexOf(0, at >>> 0)));
  }

  #find(id) {
    return this.#withNumber(0, (number) => {
      this.#withText(id, (at, bytes) => this.#check(this.#module.web_label_find(at, bytes, number)));
      return this.#number(number);
    });
  }

  #read(number) {
    const m = this.#module;
    this.#check(m.web_label_read(number));
    return { id: this.#string(m.web_label_id()), text: this.#string(m.web_label_text()), state: STATES[m.web_label_state()] };
  }

  #check(status) {
    if (status !== 0) throw new EdgexlError(this.#string(this.#module.web_sentence()), status);
  }
}

// A module of one relaxed look-up: whether the engine takes it, as Chrome does since 114.
const RELAXED = WebAssembly.validate(
  Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2, 11));

/** The module's bytes, with relaxed look-ups in the place of plain ones where the engine has them: they stand as fd 8e
 * 00, as nothing else does, and look 4 bits up, for which both give the same. */
function relax(wasm) {
  const bytes = new Uint8Array(wasm instanceof ArrayBuffer ? wasm : wasm.buffer.slice(wasm.byteOffset, wasm.byteOffset + wasm.byteLength));
  for (let at = RELAXED ? bytes.indexOf(0xfd) : -1; at >= 0; at = bytes.indexOf(0xfd, at + 1))
    if (bytes[at + 1] === 0x8e && bytes[at + 2] === 0) bytes.set([0x80, 2], at + 1);
  return bytes;
}

/** An instance of the module, of its URL, its bytes, or a WebAssembly.Module. */
async function instantiate(wasm) {
  const imports = { edgexl: { now_ms: () => performance.now() } };
  const start = (instance) => {
    instance.exports._initialize?.();
    return instance;
  };
  if (wasm instanceof WebAssembly.Module) return start(await WebAssembly.instantiate(wasm, imports));
  if (wasm instanceof ArrayBuffer || ArrayBuffer.isView(wasm))
    return start((await WebAssembly.instantiate(relax(wasm), imports)).instance);
  const url = new URL(wasm, globalThis.location?.href);
  if (url.protocol === "file:") {
    const { readFile } = await import(/* webpackIgnore: true */ /* @vite-ignore */ FILES);
    return start((await WebAssembly.instantiate(relax(await readFile(url)), imports)).instance);
  }
  const response = await fetch(url);
  if (!response.ok) throw new EdgexlError(`${url.href} cannot be fetched: ${response.status}`, 201);
  // not instantiateStreaming, which some hosts' content types break
  return start((await WebAssembly.instantiate(relax(await response.arrayBuffer()), imports)).instance);
}
