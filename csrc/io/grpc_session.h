#pragma once

#include <memory>

#include "io/session.h"

namespace naiad {

// A gRPC server connection: HTTP/2 by prior knowledge over `transport`. I/O thread.
std::unique_ptr<Session> make_grpc_session(SessionContext& context, std::unique_ptr<Transport> transport);

}  // namespace naiad
