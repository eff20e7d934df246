"""Public data sets that are not part of the project, read and refused as they should be."""

import json
from pathlib import Path

import pytest

from repalign import datasets
from repalign.activations import collect
from repalign.errors import InputError
from repalign.models import LanguageModel
from repalign.probing import gather, sweep

DATA = Path(__file__).parents[2] / "shared" / "data"

pytestmark = [
    pytest.mark.external,
    pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data is not here"),
]


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("cities", 1496),
        ("neg_cities", 1496),
        ("sp_en_trans", 354),
        ("larger_than", 1980),
        ("companies_true_false", 1200),
        ("common_claim_true_false", 4450),
        ("cities_cities_conj", 1498),
    ],
)
def test_the_fields_csv_files_load_whole(name: str, rows: int) -> None:
    examples = datasets.load(DATA / "geometry-of-truth" / f"{name}.csv")
    assert len(examples) == rows
    assert {example.label for example in examples} == {0, 1}
    assert {example.topic for example in examples} == {name}


def test_repe_facts_load() -> None:
    assert len(datasets.load(DATA / "repe-facts" / "facts_true_false.csv")) == 612


def test_a_file_of_another_form_is_refused_with_its_columns() -> None:
    path = DATA / "nq-open" / "NQ-open.dev.jsonl"
    columns = list(json.loads(path.read_text().splitlines()[0]))
    with pytest.raises(InputError) as refusal:
        datasets.load(path)
    assert all(column in str(refusal.value) for column in columns)


def test_a_probe_fitted_on_our_cities_reads_theirs(smollm2: LanguageModel) -> None:
    # Wording, cities and false countries were chosen by other people.
    site = smollm2.sites()[13]
    found = sweep(gather(smollm2, ["cities"], [site], max_groups=100), ["logistic"])
    theirs = datasets.load(DATA / "geometry-of-truth" / "cities.csv")[:200]
    scores = found.readout.score(collect(smollm2, theirs, [site]))
    from repalign.metrics import auroc

    assert auroc([example.label or 0 for example in theirs], scores).low > 0.8
