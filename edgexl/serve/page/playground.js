// The playground: a text's labels as it is typed, what speaks for each, and the label set that they come of.

import { call, count, element, milliseconds, percent, score } from "./shared.js";

const TYPING_MS = 120; // a pause in typing, after which the text is sent
const EVIDENCE_MS = 200; // a longer one, for explanations take several times as long as an answer
const MOST_EXPLAINED = 32;
const SCREENED = 10;
const MOST_REMEMBERED = 2000; // characters
const EVIDENCE = [
  ["text", "text_score"],
  ["alias", "alias_score"],
  ["description", "description_score"],
  ["votes", "votes_score"],
  ["words", "words_score"],
];

const at = (id) => document.getElementById(id);
const state = { bundle: null, answer: null, ways: new Map(), chosen: null, gold: null };

// ---- asking: each reply is dropped that a later question has overtaken ----

let asking = null;
let waiting = 0;

function askSoon(delay = TYPING_MS) {
  clearTimeout(waiting);
  waiting = setTimeout(ask, delay);
}

async function ask() {
  asking?.abort();
  const question = (asking = new AbortController());
  const text = at("text").value;
  at("examples").hidden = text.trim() !== "" || !at("examples").childElementCount;
  if (!text.trim()) {
    state.answer = null;
    state.ways.clear();
    complain();
    remember("");
    show();
    return;
  }
  try {
    const answer = await call("/api/predict", { text, ...options() }, question.signal);
    if (question.signal.aborted) return;
    state.answer = answer;
    state.ways.clear();
    if (!answer.labels.some((label) => label.id === state.chosen)) state.chosen = answer.labels[0]?.id ?? null;
    complain();
    show();
    await new Promise((done) => setTimeout(done, EVIDENCE_MS));
    if (question.signal.aborted) return;
    remember(text);
    await explain(text, question.signal);
  } catch (error) {
    if (error.name !== "AbortError" && question === asking) complain(error.message);
  }
}

/** The text stays over a reload. Browsers refuse long addresses, and many changes of one in a short time. */
function remember(text) {
  try {
    history.replaceState(null, "", text && text.length < MOST_REMEMBERED ? `#${new URLSearchParams({ text })}` : location.pathname);
  } catch {
    // it is forgotten, then
  }
}

function options() {
  const chosen = { screening: SCREENED };
  const coverage = at("coverage").valueAsNumber;
  const threshold = at("threshold").valueAsNumber;
  const k = at("k").valueAsNumber;
  if (coverage > 0) chosen.coverage = Math.min(coverage, 100) / 100;
  else if (k >= 1) chosen.k = Math.min(Math.floor(k), state.bundle?.shortlist ?? k);
  if (threshold > 0) chosen.threshold = Math.min(threshold, 100) / 100;
  return chosen;
}

async function explain(text, signal) {
  const wanted = state.answer.labels.slice(0, MOST_EXPLAINED - 2).map((label) => label.id);
  for (const label of [state.chosen, state.gold]) if (label !== null && !wanted.includes(label)) wanted.push(label);
  if (!wanted.length) return;
  let explanations;
  try {
    ({ explanations } = await call("/api/explain", { text, labels: wanted }, signal));
  } catch (error) {
    if (error.status !== 404) throw error;
    // a label was retired since: the gold one, or else one of an answer that is old by now
    if (state.gold === null) return;
    const missed = state.gold;
    state.gold = null;
    await explain(text, signal);
    at("fate").replaceChildren(element("p", { className: "lost" }, `${missed} is not in the label set any more.`));
    return;
  }
  if (signal.aborted) return;
  explanations.forEach((way) => state.ways.set(way.id, way));
  show();
}

/** Explain what the answer on show has not yet: a label that was chosen since. */
async function explainMore() {
  if (!state.answer || [state.chosen, state.gold].every((label) => label === null || state.ways.has(label))) return;
  try {
    await explain(state.answer.text, asking.signal);
  } catch (error) {
    if (error.name !== "AbortError") complain(error.message);
  }
}

function complain(sentence = "") {
  at("problem").textContent = sentence;
  at("problem").hidden = !sentence;
}

// ---- showing ----

function show() {
  showAnswers();
  showFlags();
  showTimes();
  showScreened();
  showEvidence();
  showFate();
}

function showAnswers() {
  const focused = document.activeElement?.closest?.("#answers") ? document.activeElement.dataset.id : null;
  const rows = (state.answer?.labels ?? []).map((label, place) => row(label, place + 1));
  at("answers").tBodies[0].replaceChildren(...rows);
  document.querySelector(".answers").classList.toggle("empty", state.answer === null);
  if (focused !== null) labelButtons().find((button) => button.dataset.id === focused)?.focus();
}

function row(label, rank) {
  const way = state.ways.get(label.id);
  const button = element(
    "button",
    { type: "button", className: "label", "aria-pressed": String(label.id === state.chosen) },
    element("span", {}, label.text),
    label.id === label.text ? null : element("small", { className: "id" }, label.id),
  );
  button.dataset.id = label.id;
  button.addEventListener("click", () => choose(label.id));
  const bar = element("span", { className: "part", "aria-hidden": "true" });
  bar.style.setProperty("--part", label.probability);
  const made = element(
    "tr",
    { className: label.id === state.chosen ? "chosen" : "" },
    element("td", { className: "number muted" }, String(rank)),
    element("td", {}, button, label.id === state.gold ? element("span", { className: "flag good" }, "gold") : null),
    element("td", { className: "number probability" }, bar, percent(label.probability)),
    element("td", { className: "number" }, count(label.shortlist_rank), " ", movement(label.shortlist_rank - rank)),
  );
  for (const [kind, key] of EVIDENCE) {
    const found = way?.found_by === kind ? "number evidence found" : "number evidence";
    made.append(element("td", { className: found }, way ? score(way[key]) : "·"));
  }
  return made;
}

function movement(up) {
  if (up === 0) return element("span", { className: "move muted", "aria-label": "unmoved" }, "=");
  const where = up > 0 ? "up" : "down";
  const said = `moved ${where} by ${Math.abs(up)}`;
  return element("span", { className: `move ${where}`, "aria-label": said, title: said }, `${up > 0 ? "▲" : "▼"}${Math.abs(up)}`);
}

function showFlags() {
  const answer = state.answer;
  const flags = [];
  if (answer) {
    if (!answer.labels.length) flags.push(["no label is that probable", "warn"]);
    else if (answer.none_fits) flags.push(["perhaps none of these", "warn"]);
    if (answer.windows > 1) flags.push([`read in ${count(answer.windows)} windows`, ""]);
    if (answer.truncated) flags.push(["cut: it is longer than what was read", "warn"]);
    if (answer.coverage_holds === false) flags.push(["coverage no longer promised: the label set has changed", "warn"]);
    if (state.bundle?.calibration?.method === "none") flags.push(["probabilities are not fitted", ""]);
    if (answer.windows === 1) flags.push([`${count(answer.tokens)} tokens`, ""]);
  }
  at("flags").replaceChildren(...flags.map(([text, kind]) => element("span", { className: `flag ${kind}` }, text)));
}

function showTimes() {
  const ms = state.answer?.ms ?? { total: 0 };
  const stages = Object.entries(ms).filter(([name]) => name !== "total");
  const parts = stages.map(([name, value], place) => {
    const part = element("span", { className: `stage-${place % 8}`, title: `${name} ${milliseconds(value)} ms` });
    part.style.flexGrow = (100 * value) / (ms.total || 1); // shares below 1 in all would leave room
    return part;
  });
  at("bar").replaceChildren(...parts);
  at("bar").setAttribute("aria-label", `Milliseconds by stage: ${stages.map(([name, value]) => `${name} ${milliseconds(value)}`).join(", ")}`);
  const legend = stages.map(([name, value], place) =>
    element("span", {}, element("i", { className: `stage-${place % 8}` }), `${name} `, element("b", {}, milliseconds(value))),
  );
  if (stages.length) legend.push(element("span", {}, "total ", element("b", {}, `${milliseconds(ms.total)} ms`)));
  at("legend").replaceChildren(...legend);
}

function showScreened() {
  const screened = state.answer?.screening ?? [];
  at("screened").hidden = !screened.length;
  const items = screened.map((label, place) =>
    element(
      "li",
      {},
      element("span", { className: "mono muted" }, String(place + 1)),
      element("span", { className: "grow" }, label.text),
      element("span", { className: "mono muted" }, score(label.screening_score)),
      element("span", { className: "mono" }, "→ ", String(label.reasoner_rank)),
    ),
  );
  at("screened").querySelector("ol").replaceChildren(...items);
}

function showEvidence() {
  const way = state.ways.get(state.chosen);
  const label = state.answer?.labels.find((one) => one.id === state.chosen);
  if (!way) {
    const hint = state.answer && state.chosen !== null ? "…" : "Choose a label to see what speaks for it.";
    at("evidence").replaceChildren(element("p", { className: "muted" }, label ? `${label.text} …` : hint));
    return;
  }
  at("evidence").replaceChildren(...describe(way));
}

/** A label's name, its ranks, a bar for each kind of evidence, and what can be done with it. */
function describe(way) {
  const bars = EVIDENCE.map(([kind, key]) => {
    const track = element("span", { className: "track", "aria-hidden": "true" }, element("span", {}));
    track.firstChild.style.width = `${100 * Math.max(0, Math.min(1, way[key] ?? 0))}%`;
    const found = way.found_by === kind;
    return element(
      "li",
      { className: `${found ? "found" : ""} ${way[key] === null ? "none" : ""}`, title: found ? "The screening score" : "" },
      element("span", {}, kind),
      track,
      element("span", { className: "mono" }, score(way[key])),
    );
  });
  return [
    element(
      "p",
      { className: "named" },
      element("strong", {}, way.text),
      way.id === way.text ? null : element("code", {}, way.id),
      way.state === "added" ? element("span", { className: "flag" }, "added") : null,
    ),
    element("p", { className: "muted" }, ranks(way)),
    element("ul", { className: "bars" }, ...bars),
    way.description ? element("p", { className: "described" }, way.description) : null,
    state.bundle?.writable ? actions(way) : null,
  ].filter(Boolean);
}

function ranks(way) {
  const screened = `${count(way.screening_rank)} of ${count(state.bundle?.label_set.labels ?? 0)} by vector`;
  return way.shortlisted ? `${screened} → ${way.reasoner_rank} by reasoning, ${percent(way.probability)}` : `${screened}: lost`;
}

function showFate() {
  const way = state.ways.get(state.gold);
  if (state.gold === null) {
    at("fate").replaceChildren();
    return;
  }
  if (!way) {
    at("fate").replaceChildren(element("p", { className: "muted" }, state.answer ? `${state.gold} …` : `${state.gold}: type a text to see its fate.`));
    return;
  }
  const size = state.bundle.label_set.labels;
  const cut = state.answer?.shortlist ?? state.bundle.shortlist;
  const place = (rank) => `${(100 * Math.log(rank)) / Math.log(Math.max(size, 2))}%`;
  const scale = element(
    "div",
    { className: "scale", role: "img", "aria-label": `rank ${way.screening_rank} of ${size} by vector, the shortlist ends at ${cut}` },
    element("span", { className: "kept" }),
    element("span", { className: `dot ${way.shortlisted ? "" : "lost"}` }),
  );
  scale.firstChild.style.width = place(cut);
  scale.lastChild.style.left = place(way.screening_rank);
  const verdict = way.shortlisted
    ? `Found: rank ${count(way.screening_rank)} by vector, ${way.reasoner_rank} after reasoning (${percent(way.probability)}).`
    : `Lost at screening: rank ${count(way.screening_rank)} by vector; the shortlist ends at ${count(cut)}, so reasoning never saw it.`;
  const byWords = way.shortlisted && way.screening_rank > cut ? " Its words brought it onto the shortlist." : "";
  const missing = way.shortlisted ? byWords : " An alias like this text would find it.";
  at("fate").replaceChildren(
    ...[
      element("p", { className: way.shortlisted ? "" : "lost" }, verdict, missing),
      scale,
      element("p", { className: "ends muted" }, element("span", {}, "1"), element("span", {}, `${count(cut)} shortlisted`), element("span", {}, count(size))),
      way.id === state.chosen ? null : element("button", { type: "button", className: "quiet", onclick: () => choose(way.id) }, "Show its evidence"),
    ].filter(Boolean),
  );
}

function choose(id) {
  state.chosen = id;
  show();
  explainMore();
}

// ---- changing the label set ----

function actions(way) {
  const alias = element("button", { type: "button", className: "quiet" }, "Add this text as an alias");
  alias.addEventListener("click", () => addAlias(alias, way, false));
  const retire = element("button", { type: "button", className: "quiet danger" }, "Retire");
  confirmed(retire, "Retire for good", () => change("/api/labels/retire", { ids: [way.id] }, `${way.text} is retired`));
  return element("p", { className: "actions" }, alias, retire);
}

/** A button that does something only when it is pressed a second time, within some seconds. */
function confirmed(button, question, act) {
  const asked = button.textContent;
  button.addEventListener("click", () => {
    if (button.dataset.sure) return act();
    button.dataset.sure = "yes";
    button.textContent = question;
    setTimeout(() => {
      delete button.dataset.sure;
      button.textContent = asked;
    }, 4000);
  });
}

async function addAlias(button, way, forget) {
  const body = { label: way.id, aliases: [state.answer.text.trim()], forget_compiled: forget };
  const problem = await change("/api/labels/alias", body, `${way.text} has one more alias`);
  if (problem && !forget && problem.includes("forget_compiled")) {
    say("");
    const again = element("button", { type: "button", className: "quiet danger" }, "Add, and lose those");
    again.addEventListener("click", () => addAlias(again, way, true));
    const why = "It was compiled with aliases or descriptions, which would be lost.";
    button.replaceWith(element("span", { className: "lost", role: "alert" }, why), again);
    again.focus();
  }
}

/** Change the set, say so, and query again; gives the sentence of what went wrong. */
async function change(path, body, done) {
  try {
    const report = await call(path, body);
    say(report.warning ?? `${done}; ${count(report.labels)} labels now`, "warning" in report);
  } catch (error) {
    say(error.message, true);
    return error.message;
  }
  await loadLabels();
  askSoon(0);
  return "";
}

function say(sentence, wrong = false) {
  at("said").textContent = sentence;
  at("said").classList.toggle("wrong", wrong);
}

async function loadLabels() {
  state.bundle = await call("/api/bundle");
  const set = state.bundle.label_set;
  const retired = set.retired_compiled + set.retired_added;
  at("set").textContent =
    `${count(set.labels)} labels: ${count(state.bundle.labels)} compiled, ${count(set.added)} added, ${count(retired)} retired` +
    (state.bundle.writable ? "" : " · read-only here");
  const { labels, next } = await call("/api/labels?state=added&limit=100");
  const items = labels.map((label) => {
    const retire = element("button", { type: "button", className: "quiet danger", "aria-label": `Retire ${label.text}` }, "Retire");
    confirmed(retire, "For good", () => change("/api/labels/retire", { ids: [label.id] }, `${label.text} is retired`));
    const aliases = label.aliases.length ? element("small", { className: "muted" }, label.aliases.join(" · ")) : null;
    const name = element("span", { className: "grow" }, label.text, " ", element("code", {}, label.id), aliases);
    return element("li", {}, name, state.bundle.writable ? retire : null);
  });
  if (next !== null) items.push(element("li", { className: "muted" }, "and more: edgexl labels list"));
  at("added").replaceChildren(...items);
}

// ---- the gold label: a combobox over the labels' beginnings ----

const gold = { matches: [], active: -1, typed: 0 };

function showMatches(open) {
  const list = at("matches");
  list.hidden = !open || !gold.matches.length;
  at("gold").setAttribute("aria-expanded", String(!list.hidden));
  const items = gold.matches.map((label, place) => {
    const item = element(
      "li",
      { id: `match-${place}`, role: "option", "aria-selected": String(place === gold.active) },
      label.text,
      label.id === label.text ? "" : element("small", { className: "id" }, label.id),
    );
    item.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      setGold(label);
    });
    return item;
  });
  list.replaceChildren(...items);
  if (gold.active >= 0) at("gold").setAttribute("aria-activedescendant", `match-${gold.active}`);
  else at("gold").removeAttribute("aria-activedescendant");
}

async function completeGold() {
  const typed = ++gold.typed;
  const prefix = at("gold").value.trim();
  gold.active = -1;
  if (!prefix) {
    setGold(null);
    return;
  }
  const { labels } = await call(`/api/labels/complete?${new URLSearchParams({ prefix, limit: 8 })}`);
  if (typed !== gold.typed) return;
  gold.matches = labels;
  showMatches(true);
}

function setGold(label) {
  gold.typed += 1;
  gold.matches = [];
  state.gold = label === null ? null : label.id;
  if (label !== null) at("gold").value = label.text;
  showMatches(false);
  show();
  explainMore();
}

/** What was typed, taken as an id or a whole text. */
async function takeGold() {
  const name = at("gold").value.trim();
  if (!name) return setGold(null);
  try {
    const { explanations } = await call("/api/explain", { text: state.answer?.text ?? name, labels: [name] });
    setGold(explanations[0]);
  } catch (error) {
    at("fate").replaceChildren(element("p", { className: "lost" }, error.message));
  }
}

// ---- events ----

const labelButtons = () => [...at("answers").querySelectorAll("button.label")];

function moveAmongLabels(event) {
  const buttons = labelButtons();
  const place = buttons.indexOf(document.activeElement);
  const to = { ArrowDown: place + 1, ArrowUp: place - 1, Home: 0, End: buttons.length - 1 }[event.key];
  if (to === undefined || !buttons[to]) return;
  event.preventDefault();
  buttons[to].focus();
  choose(buttons[to].dataset.id);
}

function moveAmongMatches(event) {
  if (event.key === "Escape") {
    gold.matches = [];
    showMatches(false);
  } else if (event.key === "Enter") {
    event.preventDefault();
    if (gold.active >= 0) setGold(gold.matches[gold.active]);
    else takeGold();
  } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && gold.matches.length) {
    event.preventDefault();
    const step = event.key === "ArrowDown" ? 1 : -1;
    gold.active = (gold.active + step + gold.matches.length) % gold.matches.length;
    showMatches(true);
  }
}

at("text").addEventListener("input", () => askSoon());
for (const id of ["k", "threshold", "coverage"]) at(id).addEventListener("input", () => askSoon());
at("answers").addEventListener("keydown", moveAmongLabels);
at("gold").addEventListener("input", () => completeGold().catch((error) => complain(error.message)));
at("gold").addEventListener("keydown", moveAmongMatches);
at("gold").addEventListener("blur", () => showMatches(false));
at("add").addEventListener("submit", async (event) => {
  event.preventDefault();
  const aliases = at("new-aliases").value.split("\n").map((line) => line.trim()).filter(Boolean);
  const label = { id: at("new-id").value.trim(), text: at("new-text").value.trim(), aliases };
  if (!(await change("/api/labels/add", { labels: [label] }, `${label.text} is added`))) at("add").reset();
});
document.addEventListener("keydown", (event) => {
  if (event.target.matches("input, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
  const wanted = { "/": "text", g: "gold" }[event.key];
  if (!wanted) return;
  event.preventDefault();
  at(wanted).focus();
});

async function begin() {
  await loadLabels();
  const bundle = state.bundle;
  document.title = `${bundle.name} · edgexl`;
  at("name").textContent = bundle.name;
  const facts = [
    `${count(bundle.labels)} labels`, `shortlist ${bundle.shortlist}`, `${bundle.engine}, ${bundle.kernel}`,
    `${(bundle.file_bytes / 1e6).toFixed(1)} MB`,
  ];
  if (bundle.recipe) facts.push(`recipe ${bundle.recipe}`);
  at("facts").textContent = facts.join(" · ");
  at("screened").open = matchMedia("(min-width: 721px)").matches;
  at("k").max = bundle.shortlist;
  at("add").hidden = !bundle.writable;
  const examples = bundle.examples.map((text) => {
    const use = () => {
      at("text").value = text;
      at("text").focus();
      askSoon(0);
    };
    return element("button", { type: "button", className: "quiet", onclick: use }, text);
  });
  if (examples.length) at("examples").append("For example: ", ...examples);
  at("text").value ||= new URLSearchParams(location.hash.slice(1)).get("text") ?? "";
  await ask();
}

begin().catch((error) => complain(error.message));
