from fastembed import TextEmbedding
from fastembed.common.model_description import ModelSource, PoolingType

TextEmbedding.add_custom_model(
    "student",
    pooling=PoolingType.DISABLED,
    normalization=False,
    output_name="sentence_embedding",
    sources=ModelSource(hf="student"),
    dim=192,
    model_file="onnx/model.onnx",
)
model = TextEmbedding("student", specific_model_path="student")


def encode(texts):
    return list(model.embed(texts))


# --- of the tests alone


def ids(texts):
    return [model.model.tokenize([text])[0].ids for text in texts]
