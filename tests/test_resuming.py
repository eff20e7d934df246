"""A killed extraction is taken up where it was, and ends as if nothing had happened."""

import dataclasses
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import extractions
import numpy as np
import pytest
import stores
import torch
import toy as toys

from repalign.activations import Store, collect, collecting, extraction, stream
from repalign.errors import InputError
from repalign.models import LanguageModel, memory
from repalign.sites import Site


@pytest.fixture(scope="module", autouse=True)
def _processes() -> None:
    multiprocessing.set_forkserver_preload(["repalign.activations", "toy"])
    forkserver.ensure_running()


@pytest.fixture
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "_PIECE_TOKENS", 24)
    monkeypatch.setattr(memory, "CPU_POSITIONS", 3)


def _start(folder: Path) -> Any:
    mine, theirs = stores.CONTEXT.Pipe()
    process = stores.CONTEXT.Process(target=extractions.into_store, args=(theirs, folder))
    process.start()
    theirs.close()
    return process, mine


def _resume(model: LanguageModel, folder: Path) -> None:
    collect(model, extractions.examples(), model.sites(), store=folder)


def _content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.usefixtures("_small_pieces")
@pytest.mark.parametrize("kills", [7, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_at_any_moment_it_ends_bit_identical(
    tmp_path: Path, toy: LanguageModel, kills: int
) -> None:
    whole = tmp_path / "whole"
    process, pipe = _start(whole)
    assert pipe.recv() == "begins"
    begun = time.monotonic()
    assert pipe.recv() == "done"
    lasts = time.monotonic() - begun
    process.join()
    wanted = _content(whole)
    assert sum(name.endswith(".safetensors") for name in wanted) > 10

    draw, left = random.Random(0), []
    for number in range(kills):
        folder = tmp_path / str(number)
        process, pipe = _start(folder)
        assert pipe.recv() == "begins"
        # In even steps over the whole of it, so that it is killed at every stage, and between.
        time.sleep(lasts * (number + draw.random()) / kills)
        process.kill()
        process.join()
        pipe.close()
        assert process.exitcode in (-signal.SIGKILL, 0)
        left.append(len(list(folder.glob("0*.safetensors"))))
        _resume(toy, folder)
        assert _content(folder) == wanted, f"kill {number}, after {left[-1]} shards"
    # Otherwise nothing was tested: some were killed before the first shard or in the middle.
    assert len({count for count in left if 0 < count < max(left)}) >= min(3, kills // 3), left


def test_killed_before_its_first_line_was_written_it_begins_anew(
    tmp_path: Path, toy: LanguageModel
) -> None:
    for content in (b"", b'{"format": "repalign-act'):
        folder = tmp_path / str(len(content))
        folder.mkdir()
        (folder / "manifest.jsonl").write_bytes(content)
        collect(toy, extractions.examples(4), [Site(0)], store=folder)
        assert Store.open(folder).complete


def test_a_store_under_an_intervention_is_refused(tmp_path: Path, toy: LanguageModel) -> None:
    with (
        toy.hooked({Site(0): lambda tensor: tensor * 2}),
        pytest.raises(InputError, match="does not record interventions"),
    ):
        collect(toy, extractions.examples(4), [Site(0)], store=tmp_path / "s")
    assert not (tmp_path / "s").exists()


@pytest.mark.usefixtures("_small_pieces")
def test_what_is_done_is_not_computed_again(
    tmp_path: Path, toy: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = extractions.examples()
    ran: list[int] = []
    read = extraction.Extraction.read

    def counted(self: Any, piece: int) -> Any:
        ran.append(piece)
        return read(self, piece)

    monkeypatch.setattr(extraction.Extraction, "read", counted)
    first = collect(toy, rows, [Site(1)], store=tmp_path / "s", max_tokens=3)
    assert ran == list(range(len(ran)))
    shards = len(ran)
    damaged = tmp_path / "s" / "00002.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-4])
    ran.clear()
    again = collect(toy, rows, [Site(1)], store=tmp_path / "s", max_tokens=3)
    assert ran == [2]
    assert shards > 5
    assert np.array_equal(np.asarray(first.values), np.asarray(again.values))


@pytest.mark.usefixtures("_small_pieces")
@pytest.mark.parametrize("span", ["last", "all"])
def test_a_store_holds_what_memory_would(tmp_path: Path, toy: LanguageModel, span: str) -> None:
    rows, sites = extractions.examples(40), [Site(2), Site(0, "mlp_out")]
    wanted = collect(toy, rows, sites, span, max_tokens=3)
    found = collect(toy, rows, sites, span, store=tmp_path / "s", max_tokens=3)
    for field in ("example", "pos", "labels", "groups", "topics", "polarity"):
        assert np.array_equal(getattr(found, field), getattr(wanted, field))
    assert found.sites == wanted.sites == tuple(sites)
    # Cut into other pieces, in other batches.
    assert np.asarray(found.values) == pytest.approx(wanted.values, abs=1e-5)
    assert found.origin == wanted.origin


@pytest.mark.usefixtures("_small_pieces")
def test_a_stream_holds_what_memory_would(toy: LanguageModel) -> None:
    rows, sites = extractions.examples(40), [Site(2), Site(0)]
    wanted = collect(toy, rows, sites, "all", max_tokens=3)
    parts = list(stream(toy, rows, sites, "all", max_tokens=3))
    assert len(parts) > 5
    order = np.lexsort(
        (np.concatenate([p.pos for p in parts]), np.concatenate([p.example for p in parts]))
    )
    assert np.array_equal(np.concatenate([p.values for p in parts])[order], wanted.values)
    assert np.array_equal(np.concatenate([p.labels for p in parts])[order], wanted.labels)
    assert all(
        len(set(p.example) & set(q.example)) == 0 for p in parts for q in parts if p is not q
    )


@pytest.mark.usefixtures("_small_pieces")
def test_a_streamed_fit_is_the_fit_on_everything(toy: LanguageModel) -> None:
    from probes import LDA, LEACE, MeanDifference

    rows, site = extractions.examples(), Site(1)
    whole = collect(toy, rows, [site], max_tokens=3)
    for probe in (MeanDifference(), LDA(covariance="oas")):
        wanted = type(probe)(**probe.get_params()).fit(whole.at(site), whole.labels)
        for part in stream(toy, rows, [site], max_tokens=3):
            probe.partial_fit(part.at(site), part.labels, classes=[0, 1])
        scores = wanted.decision_function(whole.at(site))
        assert probe.decision_function(whole.at(site)) == pytest.approx(scores, rel=1e-6, abs=1e-6)
    eraser = LEACE(covariance="oas")
    for part in stream(toy, rows, [site], max_tokens=3):
        eraser.partial_fit(part.at(site), part.labels, classes=[0, 1])
    erased = LEACE(covariance="oas").fit(whole.at(site), whole.labels).transform(whole.at(site))
    assert eraser.transform(whole.at(site)) == pytest.approx(erased, abs=1e-4)


CHANGES: dict[str, Callable[[LanguageModel], dict[str, Any]]] = {
    "texts": lambda toy: {"examples": extractions.examples(39) + extractions.examples(1)},
    "span": lambda toy: {"where": "all"},
    "sites": lambda toy: {"sites": [Site(1)]},
    "stored_dtype": lambda toy: {"dtype": "bfloat16"},
    "max_tokens": lambda toy: {"max_tokens": 7},
    "weights": lambda toy: {"model": _moved(toy)},
    "tokenizer": lambda toy: {"model": _retold(toy)},
}


def _moved(toy: LanguageModel) -> LanguageModel:
    with torch.no_grad():
        toy.network.model.layers[0].mlp.up_proj.weight.add_(0.01)
    return toy


def _retold(toy: LanguageModel) -> LanguageModel:
    toy.tokenizer.chat_template += " "
    return toy


@pytest.mark.parametrize("what", sorted(CHANGES))
def test_a_store_of_something_else_is_refused_by_name(
    tmp_path: Path, toy: LanguageModel, what: str
) -> None:
    asked: dict[str, Any] = {
        "model": toy,
        "examples": extractions.examples(40),
        "sites": [Site(0)],
        "where": "last",
    }
    collect(**asked, store=tmp_path / "s")
    before = _content(tmp_path / "s")
    with pytest.raises(InputError, match=rf"{what}: "):
        collect(**(asked | CHANGES[what](toy)), store=tmp_path / "s")
    assert _content(tmp_path / "s") == before


@pytest.mark.usefixtures("_small_pieces")
def test_a_shard_of_another_revision_is_named_and_computed_again(
    tmp_path: Path, toy: LanguageModel, caplog: pytest.LogCaptureFixture
) -> None:
    rows = extractions.examples(40)
    collect(toy, rows, [Site(0)], store=tmp_path / "old", max_tokens=3)
    toy.revision = "another"
    found = collect(toy, rows, [Site(0)], store=tmp_path / "new", max_tokens=3)
    wanted = _content(tmp_path / "new")
    shard = "00001.safetensors"
    (tmp_path / "new" / shard).write_bytes((tmp_path / "old" / shard).read_bytes())
    again = collect(toy, rows, [Site(0)], store=tmp_path / "new")
    assert f"{shard} belongs to another collection" in caplog.text
    assert (tmp_path / "new" / shard).read_bytes() == wanted[shard]
    assert np.array_equal(np.asarray(found.values), np.asarray(again.values))


@pytest.mark.usefixtures("_small_pieces")
def test_a_process_waits_for_what_another_computes_and_takes_over_what_it_drops(
    tmp_path: Path, toy: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, folder = extractions.examples(40), tmp_path / "s"
    work = extraction.Extraction.of(toy, rows, [Site(0)], max_tokens=3)
    collecting.fill(work, folder)
    (folder / "00003.safetensors").unlink()
    held = Store.open(folder).claim(3)
    assert held.__enter__() is True
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        assert Store.open(folder).missing() == [3]
        if len(waits) == 2:
            held.__exit__(None, None, None)

    monkeypatch.setattr(collecting.time, "sleep", sleep)
    assert collecting.fill(work, folder).complete
    assert len(waits) == 2


def test_neighbours_stay_with_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    order = []
    for rank in ("0", "1", "2"):
        monkeypatch.setenv("RANK", rank)
        order.append(collecting._from_own_share([0, 1, 2, 4, 5, 6, 8], 9))
    assert order == [[0, 1, 2, 4, 5, 6, 8], [4, 5, 6, 8, 0, 1, 2], [6, 8, 0, 1, 2, 4, 5]]


def test_progress_counts_examples_and_not_rows(tmp_path: Path, toy: LanguageModel) -> None:
    rows = extractions.examples(20)
    for store in (None, tmp_path / "s"):
        told: list[tuple[int, int]] = []

        def tell(done: int, total: int, told: list[tuple[int, int]] = told) -> None:
            told.append((done, total))

        collect(toy, rows, [Site(0)], "all", store=store, progress=tell)
        assert told[-1] == (20, 20)
        assert [done for done, _ in told] == sorted(done for done, _ in told)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"dtype": "bfloat16"}, "is for a store"),
        ({"dtype": "float16", "store": "s"}, "dtype of a store .*float16"),
    ],
)
def test_what_cannot_be_kept_is_refused(
    toy: LanguageModel, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        collect(toy, extractions.examples(2), [Site(0)], **given)


@pytest.mark.parametrize("split", [False, True])
def test_launched_processes_share_a_store(tmp_path: Path, split: bool) -> None:
    """Each with its own model on one store; or, with --tensor-parallel, one model in both."""
    model = toys.model()
    model.network.save_pretrained(tmp_path / "toy")
    model.tokenizer.save_pretrained(tmp_path / "toy")
    # accelerate starts several processes in the same way, but on a CPU without MPI only one.
    launcher = Path(sys.executable).with_name("torchrun")
    command = [
        *(str(launcher), "--nproc-per-node", "2"),
        *("-m", "repalign", "collect", "--model", str(tmp_path / "toy"), "--data", "spanish"),
        *("--out", str(tmp_path / "store"), "--sites", "1-2", "--json"),
        *(["--tensor-parallel"] if split else []),
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=240, env=os.environ, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = Store.open(tmp_path / "store").activations()
    from repalign import datasets

    loaded = LanguageModel.load(tmp_path / "toy")
    wanted = collect(loaded, datasets.load("spanish"), [Site(1), Site(2)])
    assert np.asarray(found.values) == pytest.approx(wanted.values, abs=1e-4)
    assert {key: found.origin[key] for key in ("weights", "prefixes")} == {
        "weights": loaded.fingerprint,
        "prefixes": "shared",
    }
    assert dataclasses.asdict(Store.open(tmp_path / "store").status())["shards_done"] > 1
