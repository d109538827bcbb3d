// Answers each line of a table of vectors, and prints it as it was answered: node vectors.mjs vectors.tsv
import { readFileSync } from "node:fs";
import { open } from "./package/index.js";

const bundle = await open({ verify: true });
const view = new DataView(new ArrayBuffer(4));
const bits = (number) => (view.setFloat32(0, number), view.getUint32(0).toString(16).padStart(8, "0"));
for (const line of readFileSync(process.argv[2], "utf8").trimEnd().split("\n")) {
  const [text, , ...labels] = line.split("\t");
  let said;
  try {
    const answer = bundle.predict(text, { k: labels.length / 2 });
    said = [Number(answer.noneFits), ...answer.labels.flatMap((label) => [label.id, bits(label.probability)])];
  } catch (error) {
    said = [`error: ${error.message}`];
  }
  console.log([text, ...said].join("\t"));
}
