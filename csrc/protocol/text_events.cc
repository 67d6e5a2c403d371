#include "protocol/text_events.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/quoted.h"
#include "protocol/json_writer.h"
#include "protocol/tensor_bytes.h"
#include "protocol/utf8.h"

namespace naiad {
namespace {

constexpr std::string_view kAborted = "abort";

void append_words(std::string& text, std::string_view words) {
  if (!append_json_string(text, words)) static_cast<void>(append_json_string(text, repaired_utf8(words)));
}

const Tensor* find_output(const ModelSpec& spec, const Response& response, std::string_view name) {
  const auto index = spec.output_index(name);
  if (!index) return nullptr;
  const auto found = std::ranges::find(response.outputs, *index, &OutputTensor::index);
  return found == response.outputs.end() ? nullptr : &found->tensor;
}

bool is_here(const Tensor& tensor) {
  return !tensor.owner || tensor.owner->device().kind == DeviceKind::kCpu;
}

Status unreadable(std::string_view name) {
  return {Code::kInternal, "output " + quoted(name) + " has another form than a language model's"};
}

// The first of the texts of an output; empty where there is none.
Status first_text(const ModelSpec& spec, const Response& response, std::string_view name,
                  std::optional<std::string_view>& words) {
  const Tensor* tensor = find_output(spec, response, name);
  if (tensor == nullptr) return {};
  if (tensor->dtype != DataType::kBytes || !is_here(*tensor)) return unreadable(name);
  words = BytesElements(tensor->bytes()).next();
  return words ? Status{} : unreadable(name);
}

template <typename T>
std::uint64_t sum_of(const Tensor& tensor) {
  std::uint64_t sum = 0;
  for (std::size_t at = 0; at + sizeof(T) <= tensor.size_bytes; at += sizeof(T)) {
    T value;
    std::memcpy(&value, tensor.data + at, sizeof value);
    sum += static_cast<std::uint64_t>(value);
  }
  return sum;
}

Status sum_output(const ModelSpec& spec, const Response& response, std::string_view name,
                  std::uint64_t& sum) {
  const Tensor* tensor = find_output(spec, response, name);
  if (tensor == nullptr) return {};
  if (!is_here(*tensor)) return unreadable(name);
  switch (tensor->dtype) {
    case DataType::kInt32:
    case DataType::kUint32:
      sum = sum_of<std::uint32_t>(*tensor);
      return {};
    case DataType::kInt64:
    case DataType::kUint64:
      sum = sum_of<std::uint64_t>(*tensor);
      return {};
    default:
      return unreadable(name);
  }
}

}  // namespace

Status TextEvents::add(std::string& text, const Request& request, const Response& response) {
  if (!response.status.ok()) return response.status;
  const ModelSpec& spec = *request.spec;
  std::optional<std::string_view> words;
  std::optional<std::string_view> reason;
  if (Status status = first_text(spec, response, "text_output", words); !status.ok()) return status;
  if (Status status = first_text(spec, response, "finish_reason", reason); !status.ok()) return status;
  if (Status status = count(spec, response); !status.ok()) return status;
  if (!words || ended_) return {};
  answered_ = true;
  if (reason == kAborted) return {Code::kUnavailable, "the model has ended the answer before its end"};
  const bool goes_on = !reason || reason->empty() || *reason == "None" || *reason == "null";
  open(text);
  if (!goes_on) {
    end(text, *words, *reason);
  } else if (frame_.has_empty || !words->empty()) {
    add_text(text, *words);
  }
  return {};
}

Status TextEvents::finish(std::string& text) {
  if (!answered_) return {Code::kInternal, "the model gave 0 of 1 answers"};
  open(text);
  if (!ended_) end(text, "", "stop");
  if (frame_.before_usage.empty()) return {};
  text += frame_.before_usage;
  text += R"({"prompt_tokens":)";
  append_json_integer(text, num_read_);
  text += R"(,"completion_tokens":)";
  append_json_integer(text, num_written_);
  text += R"(,"total_tokens":)";
  append_json_integer(text, num_read_ + num_written_);
  text += '}';
  text += frame_.after_usage;
  return {};
}

void TextEvents::open(std::string& text) {
  if (!opened_) text += frame_.opening;
  opened_ = true;
}

void TextEvents::add_text(std::string& text, std::string_view words) const {
  text += frame_.before_text;
  append_words(text, words);
  text += frame_.after_text;
}

void TextEvents::end(std::string& text, std::string_view words, std::string_view reason) {
  ended_ = true;
  if (frame_.ends_with_text) {
    text += frame_.before_end_text;
    append_words(text, words);
  } else if (!words.empty()) {
    add_text(text, words);
  }
  text += frame_.before_reason;
  append_words(text, reason);
  text += frame_.after_reason;
}

Status TextEvents::count(const ModelSpec& spec, const Response& response) {
  std::uint64_t num_read = 0;
  std::uint64_t num_written = 0;
  if (Status status = sum_output(spec, response, "num_input_tokens", num_read); !status.ok()) return status;
  if (Status status = sum_output(spec, response, "num_output_tokens", num_written); !status.ok())
    return status;
  num_read_ = std::max(num_read_, num_read);
  num_written_ += num_written;
  return {};
}

}  // namespace naiad
