"""Every gRPC method but inference, which the I/O threads of the core serve."""

from __future__ import annotations

from naiad import protos
from naiad.access.routes import GRPC_ROUTES
from naiad.errors import Internal
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
    found = {
        f"/{service}/{name}": method
        for service, methods in services.items()
        for name, method in methods.items()
    }
    # A method that is not in the table is of the group "unknown", which any key opens.
    if missing := found.keys() - GRPC_ROUTES.keys():
        raise Internal(f"methods without a route: {', '.join(sorted(missing))}")
    return found
