"""What a TorchScript file takes is found by running it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from naiad.config import parse_pbtxt  # noqa: E402
from naiad.staging import torch_script  # noqa: E402
from naiad.staging.found import find_models  # noqa: E402
from naiad.staging.script_probe import NotFoundOut, look_at  # noqa: E402
from naiad.staging.torch_script import describe_script  # noqa: E402
from naiad.staging.unservable import Unservable  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Picture(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = torch.nn.BatchNorm2d(3)
        self.filter = torch.nn.Conv2d(3, 8, 3)
        self.head = torch.nn.Linear(8, 5)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.filter(self.norm(image))).mean((2, 3)))


class Flat(torch.nn.Module):
    """Takes pictures of one size alone."""

    def __init__(self) -> None:
        super().__init__()
        self.filter = torch.nn.Conv2d(1, 2, 3)
        self.head = torch.nn.Linear(2 * 26 * 26, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(self.filter(image).flatten(1))


class Text(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(100, 16)
        self.head = torch.nn.Linear(16, 2)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        hidden = self.table(ids) * mask.unsqueeze(-1)
        return {"logits": self.head(hidden.mean(1)), "hidden": hidden}


class Counted(torch.nn.Module):
    def forward(self, x: torch.Tensor, times: int) -> torch.Tensor:
        return x * times


def save(module: torch.nn.Module, path: Path, *, example: torch.Tensor | None = None) -> Path:
    module.eval()
    program = torch.jit.script(module) if example is None else torch.jit.trace(module, example)
    torch.jit.save(program, str(path))
    return path


@pytest.mark.parametrize(
    ("make", "inputs", "outputs"),
    [
        (Picture, [["image", "TYPE_FP32", [-1, 3, -1, -1]]], [["OUTPUT__0", "TYPE_FP32", [-1, 5]]]),
        (Flat, [["image", "TYPE_FP32", [-1, 1, 28, 28]]], [["OUTPUT__0", "TYPE_FP32", [-1, 10]]]),
        (
            lambda: torch.nn.Linear(4, 2),
            [["input", "TYPE_FP32", [-1, 4]]],
            [["OUTPUT__0", "TYPE_FP32", [-1, 2]]],
        ),
        (
            Text,
            [["ids", "TYPE_INT64", [-1, -1]], ["mask", "TYPE_INT64", [-1, -1]]],
            [["logits", "TYPE_FP32", [-1, 2]], ["hidden", "TYPE_FP32", [-1, -1, 16]]],
        ),
    ],
)
def test_what_a_program_takes_and_gives(
    tmp_path: Path, make: Callable[[], torch.nn.Module], inputs: object, outputs: object
) -> None:
    assert look_at(save(make(), tmp_path / "m.pt")) == {"inputs": inputs, "outputs": outputs}


def test_a_traced_program(tmp_path: Path) -> None:
    found = look_at(save(Picture(), tmp_path / "m.pt", example=torch.ones(1, 3, 32, 32)))
    assert found["inputs"] == [["image", "TYPE_FP32", [-1, 3, -1, -1]]]


def test_what_can_not_be_found_out(tmp_path: Path) -> None:
    with pytest.raises(NotFoundOut, match="argument 'times' of its forward is no tensor but int"):
        look_at(save(Counted(), tmp_path / "m.pt"))


def test_the_configuration_comes_from_a_process_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (model,) = find_models(save(torch.nn.Linear(4, 2), tmp_path / "line.pt")).models
    message = parse_pbtxt(describe_script(model))
    assert (message.name, message.max_batch_size) == ("line", 4)
    assert list(message.input[0].dims) == [4] and list(message.output[0].dims) == [2]
    (refused,) = find_models(save(Counted(), tmp_path / "counted.pt")).models
    monkeypatch.setattr(torch_script, "probe", lambda path: "argument 'times' is no tensor")
    with pytest.raises(Unservable, match="could not be found out: argument 'times'") as error:
        describe_script(refused)
    assert "naiad repo init" in error.value.next_step
