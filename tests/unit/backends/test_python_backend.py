"""Loading model.py files."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from fake_request import FakeRequest

from naiad.backends.base import InstancePlace, ModelFiles
from naiad.backends.python.backend import PythonBackend
from naiad.config import ModelConfig, parse_pbtxt
from naiad.errors import BackendError, ConfigError, InvalidArgument, NaiadError

PLACE = InstancePlace("m_0_0", "CPU", 0)
HEAD = "import json, os\nimport numpy as np\nimport triton_python_backend_utils as pb_utils\n"


def write(files: ModelFiles, source: str) -> None:
    (files.version_directory / "model.py").write_text(HEAD + source)


def make(config: ModelConfig, files: ModelFiles) -> Any:
    return PythonBackend({}).make_instance(config, files, PLACE)


def test_initialize_gets_strings_under_tritons_keys(config: ModelConfig, files: ModelFiles) -> None:
    write(
        files,
        "class TritonPythonModel:\n"
        "    def initialize(self, args):\n"
        "        self.args = args\n"
        "    def execute(self, requests):\n"
        "        raise RuntimeError(json.dumps(self.args))\n",
    )
    instance = PythonBackend({}).make_instance(config, files, InstancePlace("g_1", "GPU", 3))
    with pytest.raises(BackendError) as caught:
        instance.execute([])
    args = json.loads(str(caught.value).split("RuntimeError: ")[1])
    assert json.loads(args.pop("model_config")) == config.to_json()
    assert args == {
        "model_instance_kind": "GPU",
        "model_instance_name": "g_1",
        "model_instance_device_id": "3",
        "model_repository": str(files.directory),
        "model_version": "1",
        "model_name": "m",
    }


def test_each_instance_has_a_module_of_its_own_until_it_ends(config: ModelConfig, files: ModelFiles) -> None:
    write(
        files,
        "N = [0]\n"
        "class TritonPythonModel:\n"
        "    def execute(self, requests):\n"
        "        N[0] += 1\n"
        "        y = pb_utils.Tensor('Y', np.array([[N[0], 0]], np.float32))\n"
        "        return [pb_utils.InferenceResponse([y]) for _ in requests]\n",
    )
    first, second = make(config, files), make(config, files)
    seen = []
    for instance in (first, first, second):
        request = FakeRequest()
        instance.execute([request])
        seen.append(request.outputs["Y"][1][0, 0])
    assert seen == [1, 2, 1]
    first.finalize()
    second.finalize()


def test_a_model_may_write_to_its_inputs_unless_it_says_read_only(
    config: ModelConfig, files: ModelFiles
) -> None:
    write(
        files,
        "class TritonPythonModel:\n"
        "    def execute(self, requests):\n"
        "        x = requests[0].inputs()[0].as_numpy()\n"
        "        x += 1\n"
        "        return [pb_utils.InferenceResponse([pb_utils.Tensor('Y', x)])]\n",
    )
    array = np.zeros((1, 2), np.float32)
    request = FakeRequest({"X": array})
    make(config, files).execute([request])
    assert request.outputs["Y"][1].tolist() == [[1, 1]]
    assert array.tolist() == [[0, 0]]
    message = config.copy_proto()
    message.parameters["READ_ONLY_INPUTS"].string_value = "yes"
    with pytest.raises(BackendError, match="read-only"):
        make(ModelConfig(message), files).execute([FakeRequest({"X": array})])
    message.parameters["READ_ONLY_INPUTS"].string_value = "perhaps"
    with pytest.raises(ConfigError, match="perhaps"):
        make(ModelConfig(message), files)


@pytest.mark.parametrize(
    ("source", "kind", "text"),
    [
        ("x = 1\n", InvalidArgument, "no class TritonPythonModel"),
        ("class TritonPythonModel:\n    pass\n", InvalidArgument, "no execute"),
        ("def (\n", BackendError, r"SyntaxError: invalid syntax \(model.py, line 4\)"),
        (
            "class TritonPythonModel:\n    def execute(self, r): pass\n"
            "    def initialize(self, args): raise pb_utils.TritonModelException('suite init refuses')\n",
            BackendError,
            "TritonModelException: suite init refuses",
        ),
        (
            "class TritonPythonModel:\n    def execute(self, r): pass\n"
            "    def initialize(self, args): pb_utils.load_model('other')\n",
            BackendError,
            "from the code of a model only",
        ),
    ],
)
def test_models_that_cannot_be_loaded_say_why(
    config: ModelConfig, files: ModelFiles, source: str, kind: type[NaiadError], text: str
) -> None:
    write(files, source)
    with pytest.raises(kind, match=text):
        make(config, files)


def test_a_missing_file_is_named_without_its_place_on_disk(config: ModelConfig, files: ModelFiles) -> None:
    with pytest.raises(InvalidArgument) as caught:
        PythonBackend({}).factory(config, files)
    assert "'m/1/model.py'" in str(caught.value)
    assert str(files.root) not in str(caught.value)


def test_links_out_of_the_repository_are_not_followed(
    config: ModelConfig, files: ModelFiles, tmp_path_factory: Any
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "model.py"
    outside.write_text("")
    (files.version_directory / "model.py").symlink_to(outside)
    with pytest.raises(InvalidArgument, match="outside of the model repository"):
        PythonBackend({}).factory(config, files)


def test_auto_complete_fills_the_configuration(files: ModelFiles) -> None:
    write(
        files,
        "class TritonPythonModel:\n"
        "    @staticmethod\n"
        "    def auto_complete_config(config):\n"
        "        assert os.path.isdir(pb_utils.get_model_dir())\n"
        "        config.set_max_batch_size(6)\n"
        "        config.add_input({'name': 'X', 'data_type': 'TYPE_FP32', 'dims': [3]})\n"
        "        config.add_output({'name': 'Y', 'data_type': 'TYPE_FP32', 'dims': [-1]})\n"
        "        config.set_dynamic_batching()\n"
        "        return config\n",
    )
    completed = PythonBackend({}).auto_complete(ModelConfig(parse_pbtxt('name: "m"')), files)
    assert completed.max_batch_size == 6
    assert [(t.name, t.dims) for t in completed.inputs] == [("X", (3,))]
    assert [(t.name, t.dims) for t in completed.outputs] == [("Y", (-1,))]
    assert completed.dynamic_batching is not None


def test_auto_complete_is_optional_and_its_mistakes_are_told(config: ModelConfig, files: ModelFiles) -> None:
    write(files, "class TritonPythonModel:\n    def execute(self, r): pass\n")
    assert PythonBackend({}).auto_complete(config, files) == config
    method = "class TritonPythonModel:\n    @staticmethod\n    def auto_complete_config(config):\n        "
    write(files, method + "config.add_input({'dims': [1]})\n")
    with pytest.raises(BackendError, match="missing 'name'"):
        PythonBackend({}).auto_complete(config, files)
    write(files, method + "pass\n")
    with pytest.raises(ConfigError, match="must return the ModelConfig, got NoneType"):
        PythonBackend({}).auto_complete(config, files)
