"""Plain transformers as `worker_transformers`, but `AutoModel`: no language-model head is run."""

from loading import decoder, tokenizer
from protocol import Extract, serve
from worker_transformers import extractor


def load(folder: str) -> Extract:
    return extractor(decoder(folder), tokenizer(folder, "right"))


if __name__ == "__main__":
    serve(load, "transformers", "torch")
