#pragma once

#include "execute/backend.h"

namespace naiad {

// The backend that answers each output with the input at the same position, bytes unchanged: for trying out
// and measuring everything around a model. The factory throws Error(kInvalidArgument) when inputs and outputs
// of the model do not pair up, Error(kUnsupported) for a GPU instance where there is no GPU; on one, the
// bytes are copied there, within it, and back. Any thread makes the factory.
BackendFactory make_identity_factory();

}  // namespace naiad
