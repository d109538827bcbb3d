/* A bundle in a worker: the page sends [number, method, arguments] and gets [number, error, answer], or progress. */
import { open } from "./index.js";

let opened = null;

addEventListener("message", async ({ data: [number, method, args] }) => {
  try {
    if (method === "open") {
      const onProgress = (done, total) => postMessage([0, null, { done, total }]);
      opened = await open({ ...args[0], onProgress });
      postMessage([number, null, opened.info]);
    } else if (method === "labels") postMessage([number, null, [...opened.labels()]]);
    else postMessage([number, null, opened[method](...args)]);
  } catch (error) {
    postMessage([number, { message: error.message, status: error.status ?? 0 }, null]);
  }
});
