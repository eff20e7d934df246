"""Importing repalign costs nothing and its public names are all there."""

import subprocess
import sys

import repalign


def test_import_pulls_in_no_heavy_package() -> None:
    heavy = [
        "torch",
        "transformers",
        "transformer_lens",
        "sklearn",
        "numpy",
        "matplotlib",
        "pydantic",
    ]
    code = f"import sys, repalign; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names_resolve() -> None:
    for name in repalign.__all__:
        assert getattr(repalign, name).__name__ == name
    assert set(dir(repalign)) == {*repalign.__all__, "__version__"}


def test_the_names_that_scripts_rely_on_are_public() -> None:
    relied = {
        "LanguageModel",
        "collect",
        "Site",
        "Example",
        "Direction",
        "intervene",
        "Add",
        "Ablate",
    }
    assert relied <= set(repalign.__all__)
