"""Sampled answers to many questions, side by side with as many batched generations.

    python -m benchmarks.knowledge [--questions 200] [--rounds 1]      # results/knowledge.json

Ten answers to each question, 32 tokens at most. Against ten generations, one after the other, of
all questions in batches of 16, as a user would write them: left padding, sorted by length.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from benchmarks import measuring
from repalign import LanguageModel
from repalign.answering import Local, Settings
from repalign.knowledge import asked
from repalign.spans import render
from repalign.tokens import Tokens

RESULTS = Path(__file__).parent / "results" / "knowledge.json"
SAMPLES, TOKENS, BATCH = 10, 32, 16


def independent(model: LanguageModel, prompts: list[Any]) -> None:
    """Ten times all questions, each time in batches."""
    texts = [
        model.tokenizer(render(model.tokenizer, prompt).text, add_special_tokens=False)["input_ids"]
        for prompt in prompts
    ]
    texts.sort(key=len)
    for _ in range(SAMPLES):
        for start in range(0, len(texts), BATCH):
            tokens = Tokens.pad(texts[start : start + BATCH], model.pad_id, side="left")
            model.generate(tokens, do_sample=True, top_k=0, top_p=1.0, max_new_tokens=TOKENS)


def main() -> None:
    """Measure and write results/knowledge.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    model = LanguageModel.load("smollm2")
    prompts = [one.prompt for one in asked("cities")[: options.questions]]
    settings = Settings(SAMPLES, temperature=1.0, max_new_tokens=TOKENS)
    torch.manual_seed(0)
    contenders = {
        "ours": lambda: measuring.timed(lambda: list(Local(model).replies(prompts, settings))),
        "independent": lambda: measuring.timed(lambda: independent(model, prompts)),
    }
    # The first use of a model runs its self-checks.
    list(Local(model).replies(prompts[:2], Settings(max_new_tokens=2)))
    seconds = measuring.in_turns(contenders, options.rounds)
    outcome = {
        "machine": measuring.machine(),
        "questions": len(prompts),
        "samples": SAMPLES,
        "new_tokens": TOKENS,
        "seconds": seconds,
        "times_as_fast": measuring.ratio(seconds["independent"], seconds["ours"]),
    }
    RESULTS.write_text(json.dumps(outcome, indent=1) + "\n")
    print(json.dumps(outcome, indent=1))


if __name__ == "__main__":
    main()
