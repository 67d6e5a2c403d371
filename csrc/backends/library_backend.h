#pragma once

#include <string>

#include "execute/backend.h"

namespace naiad {

// What a library is told of the model.
struct LibraryModel {
  std::string config_json;
  std::string directory;
  std::string options_json;
};

// Backends in shared libraries of their own: csrc/sdk/naiad/backend.h. The library stays for the rest of the
// process. Throws Error(kUnavailable) when it cannot be loaded, Error(kUnsupported) when it is built for
// another version of the contract. Any thread.
BackendFactory make_library_factory(const std::string& library_path, LibraryModel model);

}  // namespace naiad
