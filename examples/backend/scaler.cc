// A backend of one's own: OUTPUT = INPUT * factor, where the factor is a parameter of the model.
//
//   backend: "scaler"
//   max_batch_size: 8
//   input [ { name: "INPUT" data_type: TYPE_FP32 dims: [ -1 ] } ]
//   output [ { name: "OUTPUT" data_type: TYPE_FP32 dims: [ -1 ] } ]
//   parameters { key: "factor" value { string_value: "2.5" } }

#include <cstdlib>
#include <naiad/backend.hpp>
#include <string>
#include <vector>

namespace {

// The text of a parameter; a real backend would use its JSON library here.
std::string parameter(const std::string& config, const std::string& name) {
  const std::string begin = "\"" + name + "\":{\"string_value\":\"";
  const auto at = config.find(begin);
  if (at == std::string::npos)
    throw naiad::sdk::Failure(NAIAD_INVALID_ARGUMENT, "parameter " + name + " is missing");
  const auto from = at + begin.size();
  return config.substr(from, config.find('"', from) - from);
}

class Scaler : public naiad::sdk::Instance {
 public:
  explicit Scaler(const naiad_model& model) {
    const std::string text = parameter(model.config_json, "factor");
    char* end = nullptr;
    factor_ = std::strtof(text.c_str(), &end);
    if (end == text.c_str() || *end != '\0') {
      throw naiad::sdk::Failure(NAIAD_INVALID_ARGUMENT,
                                "parameter factor must be a number, got '" + text + "'");
    }
    naiad::sdk::log(NAIAD_LOG_INFO, std::string(model.instance_name) + " multiplies by " + text);
  }

  void execute(naiad::sdk::Batch& batch) override {
    const naiad_tensor x = batch.input(0);  // of all requests, row after row
    const auto* const from = static_cast<const float*>(x.data);
    auto* const to = static_cast<float*>(batch.output(0, {x.shape, x.shape + x.rank}));
    for (std::size_t i = 0; i < x.size_bytes / sizeof(float); ++i) to[i] = from[i] * factor_;
  }

 private:
  float factor_ = 1;
};

}  // namespace

NAIAD_BACKEND(Scaler)
