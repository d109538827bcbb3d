/* {title}: {summary}. `open()` here and now; `openInWorker()` beside the page. */
import { Bundle, EdgexlError, addSignature, recordOf } from "./edgexl.js";

export { Bundle, EdgexlError, addSignature, recordOf };
export const bundleUrl = new URL("./{file}", import.meta.url);
const FACTS = { bytes: {bytes}, sha256: "{sha256}" };

/** Opens the bundle that comes with this package, fetched once, checked and kept; or what `update` has made of it. */
export async function open(options = {}) {
  const kept = options.source ? null : await keptUpdate();
  if (!kept) return Bundle.open(options.source ?? bundleUrl, { ...FACTS, ...options });
  try {
    return await Bundle.open(kept, options);
  } catch (error) {
    if (!DAMAGED.includes(error.status)) throw error;
    await (await store()).delete(KEPT);
    return open(options);
  }
}

/** Makes the next bundle of the one that `open` opens and a patch, a URL or bytes; gives `bundle` and `bytes`. Where
 * there is the Cache API it is kept, and `open` opens it until this package brings another bundle. */
export async function update(patch, options = {}) {
  const old = options.source ?? (await keptUpdate()) ?? bundleUrl;
  const made = await Bundle.update(old, patch, { ...FACTS, ...options });
  if (!options.source) await (await store())?.put(KEPT, new Response(made.bytes)).catch(() => {});
  return made;
}

// Of this package's bundle alone: when another one is fetched, this makes room.
const KEPT = `${bundleUrl.href.split("#")[0]}?updated=${FACTS.sha256}`;
const DAMAGED = [300, 302, 303, 304];

async function store() {
  return bundleUrl.protocol !== "file:" && globalThis.caches ? caches.open("edgexl").catch(() => null) : null;
}

async function keptUpdate() {
  const kept = await (await store())?.match(KEPT);
  return kept ? kept.arrayBuffer() : null;
}

/** The same in a worker: each method gives a promise; `labels` the list of all. */
export async function openInWorker({ onProgress = null, ...options } = {}) {
  const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  const waiting = new Map();
  let last = 0;
  const call = (method, ...args) =>
    new Promise((resolve, reject) => {
      waiting.set(++last, { resolve, reject });
      worker.postMessage([last, method, args]);
    });
  const fail = (error) => {
    for (const one of waiting.values()) one.reject(error);
    waiting.clear();
  };
  worker.onerror = (event) => fail(new EdgexlError(event.message || "the worker cannot be started", 200));
  worker.onmessage = ({ data: [number, error, answer] }) => {
    if (number === 0) return onProgress?.(answer.done, answer.total);
    const one = waiting.get(number);
    waiting.delete(number);
    if (error) one?.reject(new EdgexlError(error.message, error.status));
    else one?.resolve(answer);
  };
  const info = await call("open", options);
  const api = { info };
  const methods = ["predict", "predictBatch", "receipt", "explain", "selfTest", "complete", "labels", "addLabel", "retireLabel", "changes"];
  for (const method of methods) api[method] = (...args) => call(method, ...args);
  api.update = async (patch, how = {}) => {
    const { bytes, info } = await call("update", patch, how);
    api.info = info;
    return { bytes, info };
  };
  api.close = () => {
    worker.terminate();
    fail(new EdgexlError("the bundle is closed", 100));
  };
  return api;
}
