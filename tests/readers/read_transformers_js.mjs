import { env, pipeline } from "@huggingface/transformers";

env.localModelPath = ".";
env.allowRemoteModels = false;
const extract = await pipeline("feature-extraction", "student", { dtype: "fp32" });

export async function encode(texts) {
  const vectors = await extract(texts, { pooling: "mean", normalize: true });
  return vectors.tolist();
}

// --- of the tests alone

export function ids(texts) {
  return texts.map((text) => extract.tokenizer(text, { truncation: true, return_tensor: false }).input_ids);
}
