"""Every gRPC method but inference, which the I/O threads of the core serve."""

from __future__ import annotations

from naiad import protos
from naiad.grpc.call import Method
from naiad.grpc.control import ControlMethods
from naiad.grpc.health import HealthMethods
from naiad.grpc.reflection import SERVICE, ReflectionMethods
from naiad.handlers.control import ControlPlane


def control_methods(control: ControlPlane) -> dict[str, Method]:
    """Methods by path: "/package.Service/Method"."""
    served = (protos.INFERENCE_SERVICE, protos.HEALTH_SERVICE)
    services = {
        protos.INFERENCE_SERVICE: ControlMethods(control).methods(),
        protos.HEALTH_SERVICE: HealthMethods(control).methods(),
        SERVICE: ReflectionMethods(served).methods(),
    }
    return {
        f"/{service}/{name}": method
        for service, methods in services.items()
        for name, method in methods.items()
    }
