"""The ``identity`` backend: outputs are the inputs. Native; useful to measure the server itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from naiad.backends.base import Backend, ModelFiles
from naiad.config import ModelConfig
from naiad.errors import ConfigError

if TYPE_CHECKING:
    from naiad.engine import BackendFactory


class IdentityBackend(Backend):
    """Output i is input i, by position: as many outputs as inputs, of the same datatypes and dims."""

    name: ClassVar[str] = "identity"

    def runs_on_gpu(self) -> bool:
        """There the bytes are copied to the GPU, within it, and back."""
        return True

    def factory(self, config: ModelConfig, files: ModelFiles) -> BackendFactory:
        """Checks that inputs and outputs pair up. Raises ConfigError where they do not."""
        from naiad.engine import identity_factory

        inputs, outputs = list(config.inputs), list(config.outputs)
        if len(inputs) != len(outputs):
            raise ConfigError(
                f"model '{files.name}': the identity backend needs as many outputs as inputs, "
                f"got {len(inputs)} inputs and {len(outputs)} outputs",
                field="output",
            )
        for source, target in zip(inputs, outputs, strict=True):
            if source.datatype != target.datatype:
                raise ConfigError(
                    f"model '{files.name}': identity output '{target.name}' has {target.datatype}, "
                    f"but its input '{source.name}' has {source.datatype}",
                    field="output.data_type",
                )
            if list(source.dims) != list(target.dims):
                raise ConfigError(
                    f"model '{files.name}': identity output '{target.name}' has dims {list(target.dims)}, "
                    f"but its input '{source.name}' has {list(source.dims)}",
                    field="output.dims",
                )
        return identity_factory()
