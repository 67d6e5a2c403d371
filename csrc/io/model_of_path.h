#pragma once

#include <memory>

#include "base/error.h"
#include "engine/engine.h"
#include "request/request.h"

namespace naiad {

// The model that a request over HTTP names in its path. As Triton, where a model has no labels: with a word
// in place of a version's number there is no such path. Any thread.
Status find_model_of_path(const Engine& engine, const Request& request, std::shared_ptr<Model>& model);

}  // namespace naiad
