/* The page: answers while somebody types, in a worker. */
import { openInWorker } from "../index.js";

const at = (id) => document.getElementById(id);
const [text, list, facts, hint, problem, bar] = ["text", "labels", "facts", "hint", "problem", "progress"].map(at);

function tell(error) {
  problem.textContent = error.message;
  problem.hidden = false;
}

function show(answer) {
  list.replaceChildren(
    ...answer.labels.map((label) => {
      const row = document.createElement("li");
      const share = `${(100 * label.probability).toFixed(1)} %`;
      row.style.setProperty("--share", String(label.probability));
      for (const [kind, content] of [["name", label.text], ["id", label.id === label.text ? "" : label.id], ["share", share]]) {
        const part = document.createElement("span");
        part.className = kind;
        part.textContent = content;
        row.append(part);
      }
      return row;
    }),
  );
  hint.hidden = !answer.noneFits;
  problem.hidden = true;
  facts.textContent = `${answer.ms.toFixed(1)} ms in WebAssembly`;
}

try {
  const words = await openInWorker({
    onProgress: (done, total) => {
      bar.value = done / total;
    },
  });
  at("loading").hidden = true;
  text.disabled = false;
  let wanted = 0;
  const answer = async () => {
    const mine = ++wanted;
    if (!text.value.trim()) {
      list.replaceChildren();
      facts.textContent = "";
      return;
    }
    try {
      const found = await words.predict(text.value, { k: 8 });
      if (mine === wanted) show(found);
    } catch (error) {
      if (mine === wanted) tell(error);
    }
  };
  text.addEventListener("input", answer);
  at("form").addEventListener("submit", (event) => event.preventDefault());
  await answer();
  document.body.dataset.ready = "yes";
} catch (error) {
  at("loading").hidden = true;
  tell(error);
}
