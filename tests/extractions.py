"""Extractions that other processes run, and are killed at."""

import random
from multiprocessing.connection import Connection
from pathlib import Path

import toy as toys

from repalign.activations import collect, extraction
from repalign.examples import Example
from repalign.models import memory


def examples(count: int = 60) -> list[Example]:
    """Sentences of the toy's words, many of which begin alike."""
    draw = random.Random(5)
    made = []
    for index in range(count):
        nouns = " and the ".join(draw.choice(toys.NOUNS) for _ in range(draw.randrange(1, 6)))
        word = draw.choice((*toys.TRUE, *toys.FALSE))
        made.append(Example.of_text(f"the {nouns} is {word}", index % 2, f"g{index // 2}"))
    return made


def small_pieces() -> None:
    """Cut what is read here into pieces of a few texts, so that there are many shards."""
    extraction._PIECE_TOKENS = 24
    memory.CPU_POSITIONS = 3


def into_store(pipe: Connection, folder: Path) -> None:
    """Collect into a store; tells when it begins and when it is done."""
    small_pieces()
    model = toys.model()
    pipe.send("begins")
    collect(model, examples(), model.sites(), store=folder)
    pipe.send("done")
