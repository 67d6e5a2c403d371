"""What the paths hold that somebody wants served: told by names and contents, no framework is loaded."""

from __future__ import annotations

import importlib.util
import json
import mmap
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from naiad.backends.torch.archive import FileKind, kind_of
from naiad.staging.hugging_face import HuggingFaceFolder, read_folder
from naiad.staging.unservable import Unservable

CONFIG = "config.pbtxt"

_VERSION = re.compile(r"[1-9][0-9]{0,17}\Z")
_NOT_OF_A_NAME = re.compile(r"[^A-Za-z0-9._-]")

_TORCH = ("model.pt", "pytorch")
_FILES = {
    ".onnx": ("model.onnx", "onnxruntime"),
    ".pt": _TORCH,
    ".pth": _TORCH,
    ".ts": _TORCH,
    ".pt2": ("model.pt2", "pytorch"),
    ".xml": ("model.xml", "openvino"),
    ".plan": ("model.plan", "tensorrt"),
    ".engine": ("model.plan", "tensorrt"),
}
"""By the end of their names: what model files are called in a repository, and the backend that reads them."""

_EXPORT_TORCH = "in Python: torch.jit.save(torch.jit.script(model), 'model.pt'), then `naiad serve model.pt`"
_ELSEWHERE = {
    ".safetensors": "name the folder that holds it together with its config.json",
    ".gguf": "serve the model's folder in Hugging Face's form (config.json and safetensors)",
    ".h5": "convert it with tf2onnx, then `naiad serve model.onnx`",
    ".keras": "convert it with tf2onnx, then `naiad serve model.onnx`",
    ".pb": "convert it with tf2onnx, then `naiad serve model.onnx`",
    ".tflite": "convert it with tf2onnx, then `naiad serve model.onnx`",
    ".pkl": "convert it with skl2onnx, then `naiad serve model.onnx`",
    ".joblib": "convert it with skl2onnx, then `naiad serve model.onnx`",
    ".bin": "name the folder that holds it together with its config.json, or the .xml beside it",
}
"""Model files of other kinds, and what to do with them."""


@dataclass(frozen=True)
class FoundModel:
    """A model, and what its folder in a repository consists of."""

    name: str
    backend: str
    source: Path
    """The file or folder that was named."""
    links: Mapping[str, Path] = field(default_factory=dict)
    """Path within the model's folder -> what lies there; under "" the whole folder."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Path within the model's folder -> the text of a file that is to be written."""
    script: Path | None = None
    """A TorchScript file without a configuration: it does not say what its tensors are."""


@dataclass(frozen=True)
class Found:
    """What one path holds."""

    models: tuple[FoundModel, ...] = ()
    repository: Path | None = None
    """The path is a model repository, with nothing else in it."""
    passed_over: tuple[Path, ...] = ()
    """What lies in a folder and is no model."""


def find_models(path: Path) -> Found:
    """Raises Unservable, also for a path that is not there."""
    if path.is_file():
        return Found((_file(path),))
    if path.is_dir():
        return _folder(path.resolve())
    near = _similar(path)
    raise Unservable(
        f"there is no file or folder '{path}'",
        next_step=f"did you mean '{near}'?" if near else f"look with `ls {path.parent}`",
    )


def model_name(text: str) -> str:
    """``text`` with what can not be in the name of a model replaced."""
    return _NOT_OF_A_NAME.sub("_", text).lstrip(".-")[:128] or "model"


def _similar(path: Path) -> Path | None:
    import difflib

    if not path.parent.is_dir():
        return None
    names = [entry.name for entry in path.parent.iterdir()]
    return next((path.parent / name for name in difflib.get_close_matches(path.name, names, 1)), None)


def _file(path: Path, name: str = "") -> FoundModel:
    shown, path = path, path.absolute()
    if _VERSION.match(path.parent.name) and path.stem == "model":
        # ``<model>/<version>/model.onnx``, named inside of a repository.
        return _model_folder(path.parents[1].resolve())
    if path.suffix == ".py":
        return _python_file(path, name)
    known = _FILES.get(path.suffix.lower())
    if known is None:
        raise Unservable(
            f"'{shown}' is no model file that naiad knows",
            next_step=_ELSEWHERE.get(
                path.suffix.lower(), f"it serves {', '.join(sorted({*_FILES, '.py'}))} and folders of them"
            ),
        )
    if path.stat().st_size == 0:
        raise Unservable(f"'{shown}' is empty", next_step="export or copy the model again")
    filename, backend = known
    name = name or model_name(path.stem)
    beside = _FINDERS[backend](path) if backend in _FINDERS else {}
    if backend == "pytorch":
        kind = _check_torch(path)
        if kind in (FileKind.EXPORTED, FileKind.COMPILED):
            filename = "model.pt2"
        if kind is FileKind.SCRIPT:
            return FoundModel(name, backend, path, {f"1/{filename}": path}, script=path)
    return FoundModel(name, backend, path, {f"1/{filename}": path} | beside)


def _check_torch(path: Path) -> FileKind:
    kind = kind_of(path)
    if kind is FileKind.WEIGHTS:
        raise Unservable(
            f"'{path}' holds weights alone (a state_dict or a pickled object), not a program",
            next_step=f"save the program {_EXPORT_TORCH}",
        )
    if kind is FileKind.UNKNOWN:
        raise Unservable(
            f"'{path}' is no model file of PyTorch",
            next_step=f"save it again {_EXPORT_TORCH}",
        )
    return kind


def _onnx_data(path: Path) -> dict[str, Path]:
    """The files beside an ONNX file that hold its weights: those whose names stand in it."""
    others = [entry for entry in path.parent.iterdir() if entry != path and entry.suffix != ".onnx"]
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content.find(b"location") < 0:
            return {}
        return {
            f"1/{entry.name}": entry
            for entry in others
            if entry.is_file() and content.find(entry.name.encode()) >= 0
        }


def _openvino_weights(path: Path) -> dict[str, Path]:
    if b"<net" not in path.read_bytes()[:4096]:
        raise Unservable(
            f"'{path}' is XML, but no model of OpenVINO",
            next_step="write one with `openvino.save_model(model, 'model.xml')`",
        )
    weights = path.with_suffix(".bin")
    if not weights.is_file():
        raise Unservable(
            f"the weights of '{path}' are missing",
            next_step=f"put '{weights.name}' beside it: OpenVINO writes the two together",
        )
    return {"1/model.bin": weights}


_FINDERS: dict[str, Callable[[Path], dict[str, Path]]] = {
    "onnxruntime": _onnx_data,
    "openvino": _openvino_weights,
}


def _python_file(path: Path, name: str) -> FoundModel:
    """With what lies beside it: modules that it imports, files that it reads, a config.pbtxt."""
    if b"TritonPythonModel" not in path.read_bytes():
        raise Unservable(
            f"'{path}' has no class TritonPythonModel",
            next_step="write one as in docs/python_models.md, or name the model file itself",
        )
    links = {f"1/{path.name}": path}
    for entry in path.parent.iterdir():
        if entry.name == CONFIG:
            links[CONFIG] = entry
        elif not entry.name.startswith(".") and entry.name != "__pycache__":
            links[f"1/{entry.name}"] = entry
    links["1/model.py"] = path
    # A file model.py says little; its folder says more.
    named = path.parent.name if path.stem == "model" else path.stem
    return FoundModel(name or model_name(named), "python", path, links)


def _folder(path: Path) -> Found:
    if (hub := read_folder(path)) is not None:
        return Found((_hugging_face(hub),))
    if _is_model_folder(path):
        return Found((_model_folder(path),))
    return _collection(path)


def _collection(path: Path) -> Found:
    """A folder of models, of whatever kinds."""
    models: list[FoundModel] = []
    passed_over: list[Path] = []
    folders = 0
    for entry in sorted(path.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_dir() and _is_model_folder(entry) and read_folder(entry) is None:
            folders += 1
            models.append(_model_folder(entry))
        elif (one := _member(entry)) is not None:
            models.append(one)
        elif not _belongs_to_another(entry):
            passed_over.append(entry)
    if not models:
        raise Unservable(
            f"the folder '{path}' holds no model"
            + (f": it has {passed_over[0].name} and the like" if passed_over else ": it is empty"),
            next_step=f"put model files into it ({', '.join(sorted(_FILES))}), or make a model folder with "
            "`naiad repo init --from FILE --to DIR`",
        )
    if folders == len(models):
        return Found(tuple(models), repository=path, passed_over=tuple(passed_over))
    return Found(tuple(models), passed_over=tuple(passed_over))


def _member(entry: Path) -> FoundModel | None:
    """Of a folder of models: a model file, a folder of the hub, or a folder with one model file in it."""
    if entry.is_file():
        return _file(entry) if _is_model_file(entry) else None
    hub = read_folder(entry)
    if hub is not None:
        return _hugging_face(hub)
    inside = [child for child in sorted(entry.iterdir()) if _is_model_file(child)]
    return _file(inside[0], model_name(entry.name)) if len(inside) == 1 else None


def _is_model_file(path: Path) -> bool:
    if not path.is_file():
        return False
    if path.suffix == ".py":
        return b"TritonPythonModel" in path.read_bytes()
    if path.suffix == ".xml":
        return b"<net" in path.read_bytes()[:4096]
    return path.suffix.lower() in _FILES


def _belongs_to_another(entry: Path) -> bool:
    """Weights beside the file that names them, and what describes models."""
    return entry.suffix in (".bin", ".data", ".md", ".txt", ".json") or entry.name in (CONFIG, "__pycache__")


def _is_model_folder(path: Path) -> bool:
    """In Triton's layout."""
    return (path / CONFIG).is_file() or any(_versions(path))


def _versions(path: Path) -> Iterator[Path]:
    return (entry for entry in path.iterdir() if _VERSION.match(entry.name) and entry.is_dir())


def _model_folder(path: Path) -> FoundModel:
    return FoundModel(path.name, "", path, {"": path})


def _hugging_face(folder: HuggingFaceFolder) -> FoundModel:
    name = model_name(folder.name)
    if folder.onnx_file is not None and not folder.generates:
        return _file(folder.onnx_file, name)
    arguments: dict[str, str] = {"model": str(folder.path)}
    if not folder.generates:
        arguments |= _pooling(folder, name)
    return FoundModel(
        name,
        "vllm",
        folder.path,
        texts={CONFIG: 'backend: "vllm"\n', "1/model.json": json.dumps(arguments) + "\n"},
    )


def _pooling(folder: HuggingFaceFolder, name: str) -> dict[str, str]:
    """Raises Unservable for what vLLM does not pool, or is not there to pool."""
    export = (
        f"`pip install 'optimum[onnxruntime]'`, `optimum-cli export onnx --model {folder.path} {name}-onnx`, "
        f"`naiad serve {name}-onnx`"
    )
    if folder.pooling is None:
        raise Unservable(
            f"'{folder.path}' is a model of Hugging Face that does not write text ({folder.kind}), which no "
            "backend serves from its weights",
            next_step=f"export it: {export}",
        )
    if importlib.util.find_spec("vllm") is None:
        raise Unservable(
            f"'{folder.path}' is an encoder ({folder.kind}), which vLLM serves, and vLLM is not installed",
            next_step=f"export it: {export}; or pip install 'naiad[vllm]'",
        )
    return folder.pooling
