#include "io/model_of_path.h"

#include "protocol/ascii_case.h"

namespace naiad {

Status find_model_of_path(const Engine& engine, const Request& request, std::shared_ptr<Model>& model) {
  Status status = engine.find(request.model_name, request.model_version, model);
  const bool is_word = !request.model_version.empty() && !is_ascii_digit(request.model_version.front());
  if (status.code() == Code::kInvalidArgument && is_word) return {Code::kNotFound, "Not Found"};
  return status;
}

}  // namespace naiad
