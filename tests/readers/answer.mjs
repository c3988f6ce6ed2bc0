// Run a reader's script on a request: node answer.mjs SCRIPT REQUEST.json ANSWER.json (see answer.py)

import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [script, request, answer] = process.argv.slice(2);
const batches = JSON.parse(readFileSync(request, "utf-8"));
const reader = await import(pathToFileURL(script));
const found = { vectors: {}, ids: {}, versions: {} };
for (const [name, texts] of Object.entries(batches)) {
  found.vectors[name] = await reader.encode(texts);
  found.ids[name] = reader.ids(texts).map((row) => Array.from(row, Number));
}
for (const name of ["@huggingface/transformers", "onnxruntime-node"]) {
  found.versions[name] = JSON.parse(readFileSync(`node_modules/${name}/package.json`, "utf-8")).version;
}
writeFileSync(answer, JSON.stringify(found));
