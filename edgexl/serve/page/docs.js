// The OpenAPI document, to be read and tried.

import { element } from "./shared.js";

const at = (id) => document.getElementById(id);
const plain = (markdown = "") => markdown.replaceAll("`", "");

/** A schema as a type, on some lines: {id: string, probability: number}. */
function written(schema, indent = "") {
  if (schema.anyOf) return schema.anyOf.map((one) => written(one, indent)).join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.type === "array") return `[${written(schema.items, indent)}, …]`;
  if (schema.type === "object" && schema.properties) {
    const deeper = `${indent}  `;
    const required = schema.required ?? [];
    const lines = Object.entries(schema.properties).map(([name, field]) => {
      const note = field.description ? `  // ${plain(field.description)}` : "";
      return `${deeper}${name}${required.includes(name) ? "" : "?"}: ${written(field, deeper)}${note}`;
    });
    return `{\n${lines.join("\n")}\n${indent}}`;
  }
  if (schema.type === "object" && schema.additionalProperties) return `{…: ${written(schema.additionalProperties, indent)}}`;
  return [schema.type ?? "any"].flat().join(" | ");
}

function brief(schema) {
  const type = schema.type === "array" ? `[${brief(schema.items)}]` : written(schema);
  return type.startsWith("{") ? "object" : type;
}

/** What an operation takes: [name, schema, whether it must be there] each. */
function fields(operation) {
  if (operation.parameters) return operation.parameters.map((one) => [one.name, one.schema, one.required]);
  const schema = operation.requestBody.content["application/json"].schema;
  return Object.entries(schema.properties).map(([name, field]) => [name, field, (schema.required ?? []).includes(name)]);
}

const exampleOf = (operation) =>
  Object.fromEntries(fields(operation).filter(([, schema]) => schema.example !== undefined).map(([name, schema]) => [name, schema.example]));

function section(path, method, operation) {
  const takes = fields(operation);
  const example = exampleOf(operation);
  const query = new URLSearchParams(example).toString();
  const rows = takes.map(([name, schema, required]) =>
    element("tr", {},
      element("td", {}, element("code", {}, name), required ? " *" : ""),
      element("td", {}, brief(schema)),
      element("td", {}, plain(schema.description), schema.default === undefined ? "" : ` [${JSON.stringify(schema.default)}]`)),
  );
  const sent = method === "get"
    ? element("input", { value: query ? `${path}?${query}` : path, "aria-label": "Path to get" })
    : element("textarea", { value: JSON.stringify(example, null, 2), rows: 6, spellcheck: false, "aria-label": "Body to send" });
  const status = element("span", { className: "muted mono", role: "status" });
  const shown = element("pre", { hidden: true, tabIndex: 0, "aria-label": "Answer" });
  const send = element("button", { type: "button" }, "Send");
  send.addEventListener("click", async () => {
    const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: sent.value };
    try {
      const began = performance.now();
      const response = await (method === "get" ? fetch(sent.value) : fetch(path, options));
      const text = await response.text();
      status.textContent = `${response.status} in ${(performance.now() - began).toFixed(0)} ms`;
      shown.textContent = JSON.stringify(JSON.parse(text), null, 2);
    } catch (error) {
      status.textContent = "";
      shown.textContent = String(error);
    }
    shown.hidden = false;
  });
  const curl = method === "get"
    ? `curl '${location.origin}${path}${query ? `?${query}` : ""}'`
    : `curl -H 'Content-Type: application/json' ${location.origin}${path} \\\n     -d '${JSON.stringify(example)}'`;
  const answers = written(operation.responses["200"].content["application/json"].schema);
  return element("details", { className: "endpoint", id: operation.operationId },
    element("summary", {}, element("span", { className: "method" }, method.toUpperCase()), element("code", {}, path), element("span", { className: "muted" }, operation.summary)),
    takes.length ? element("table", {}, element("tbody", {}, ...rows)) : null,
    element("h2", {}, "Example"), element("pre", { tabIndex: 0 }, curl),
    element("h2", {}, "Answer"), element("pre", { tabIndex: 0 }, answers),
    element("h2", {}, "Try it"), sent,
    element("p", { className: "actions" }, send, status), shown);
}

const api = await (await fetch("/openapi.json")).json();
document.title = `API · ${api.info.title}`;
at("name").textContent = api.info.title;
at("about").textContent = plain(api.info.description);
for (const [path, operations] of Object.entries(api.paths))
  for (const [method, operation] of Object.entries(operations)) at("endpoints").append(section(path, method, operation));
at("endpoints").querySelector("details")?.setAttribute("open", "");
