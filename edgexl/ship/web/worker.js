/* A bundle in a worker: the page sends [number, method, arguments] and gets [number, error, answer], or progress. */
import { open, update } from "./index.js";

let opened = null;
let opening = {};

addEventListener("message", async ({ data: [number, method, args] }) => {
  try {
    if (method === "open") {
      const onProgress = (done, total) => postMessage([0, null, { done, total }]);
      opening = args[0];
      opened = await open({ ...opening, onProgress });
      postMessage([number, null, opened.info]);
    } else if (method === "update") {
      const { bundle, bytes } = await update(args[0], { ...opening, changes: opened.changes(), ...args[1] });
      opened.close();
      opened = bundle;
      if (opening.source) opening = { ...opening, source: bytes };
      postMessage([number, null, { bytes, info: opened.info }]);
    } else if (method === "labels") postMessage([number, null, [...opened.labels()]]);
    else postMessage([number, null, opened[method](...args)]);
  } catch (error) {
    postMessage([number, { message: error.message, status: error.status ?? 0 }, null]);
  }
});
