/* {title}: {summary}. `open()` here and now; `openInWorker()` beside the page. */
import { Bundle, EdgexlError } from "./edgexl.js";

export { Bundle, EdgexlError };
export const bundleUrl = new URL("./{file}", import.meta.url);
const FACTS = { bytes: {bytes}, sha256: "{sha256}" };

/** Opens the bundle that comes with this package: fetched once, checked, kept. */
export function open(options = {}) {
  return Bundle.open(options.source ?? bundleUrl, { ...FACTS, ...options });
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
  const methods = ["predict", "predictBatch", "explain", "selfTest", "complete", "labels", "addLabel", "retireLabel", "changes"];
  const bundle = Object.fromEntries(methods.map((method) => [method, (...args) => call(method, ...args)]));
  return {
    ...bundle,
    info,
    close() {
      worker.terminate();
      fail(new EdgexlError("the bundle is closed", 100));
    },
  };
}
