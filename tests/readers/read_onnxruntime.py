import numpy as np
from onnxruntime import InferenceSession
from tokenizers import Tokenizer

tokenizer = Tokenizer.from_file("student/tokenizer.json")
tokenizer.enable_truncation(512)
tokenizer.enable_padding(pad_id=tokenizer.token_to_id("<pad>"), pad_token="<pad>")
session = InferenceSession("student/onnx/model.onnx")


def encode(texts):
    batch = tokenizer.encode_batch(texts)
    inputs = {
        "input_ids": np.array([text.ids for text in batch], dtype=np.int64),
        "attention_mask": np.array([text.attention_mask for text in batch], dtype=np.int64),
    }
    return session.run(["sentence_embedding"], inputs)[0]


# --- of the tests alone


def ids(texts):
    return [tokenizer.encode(text).ids for text in texts]
