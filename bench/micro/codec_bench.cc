// Nanoseconds per decode and encode of the v2 codecs: the median of many runs of a few calls each, on one
// thread, with blocks from the arena pool.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "memory/tensor_pool.h"
#include "protocol/v2_grpc.h"
#include "protocol/v2_http.h"

namespace {

using namespace naiad;

// Median nanoseconds of one call.
double measure_ns(const std::function<void()>& call, int calls_per_run) {
  constexpr int kRuns = 41;
  std::vector<double> runs;
  for (int run = 0; run < kRuns; ++run) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < calls_per_run; ++i) call();
    const std::chrono::duration<double, std::nano> spent = std::chrono::steady_clock::now() - start;
    runs.push_back(spent.count() / calls_per_run);
  }
  std::nth_element(runs.begin(), runs.begin() + kRuns / 2, runs.end());
  return runs[kRuns / 2];
}

void require(const Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.message().c_str());
  std::exit(1);
}

std::span<const std::byte> bytes_of(const BufferRef& body) {
  return {body->data(), body->size_bytes()};
}

BufferRef body_of(const std::string& text) {
  BufferRef body = make_heap_buffer(text.size());
  std::memcpy(body->data(), text.data(), text.size());
  return body;
}

std::vector<float> sample(std::size_t count) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i) * 0.37F - 100.0F;
  return values;
}

std::string raw(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

std::string json_head(std::size_t count, const std::string& tail) {
  return R"({"inputs":[{"name":"INPUT0","shape":[1,)" + std::to_string(count) + R"(],"datatype":"FP32",)" +
         tail + "}]}";
}

// A request body and how it is framed.
struct Case {
  std::string name;
  BufferRef body;
  std::optional<std::size_t> header_length;
  bool grpc = false;
};

Case json_case(std::size_t count) {
  std::string data = "\"data\":[";
  for (const float value : sample(count)) data += std::to_string(value) + ",";
  data.back() = ']';
  return {"JSON, " + std::to_string(count) + " floats", body_of(json_head(count, data)), std::nullopt, false};
}

Case binary_case(std::size_t count) {
  const std::string head =
      json_head(count, R"("parameters":{"binary_data_size":)" + std::to_string(count * sizeof(float)) + "}");
  return {"binary, " + std::to_string(count) + " floats", body_of(head + raw(sample(count))), head.size(),
          false};
}

Case grpc_case(std::size_t count) {
  const auto field = [](int number, const std::string& content) {
    std::string out(1, static_cast<char>(number << 3 | 2));
    std::size_t size = content.size();
    for (; size >= 128; size >>= 7) out += static_cast<char>(static_cast<unsigned char>(size & 127) | 128);
    return out + static_cast<char>(size) + content;
  };
  std::string dims(1, '\1');
  std::size_t rest = count;
  for (; rest >= 128; rest >>= 7) dims += static_cast<char>(static_cast<unsigned char>(rest & 127) | 128);
  dims += static_cast<char>(rest);
  const std::string message = field(1, "identity") +
                              field(5, field(1, "INPUT0") + field(2, "FP32") + field(3, dims)) +
                              field(7, raw(sample(count)));
  return {"gRPC raw, " + std::to_string(count) + " floats", body_of(message), std::nullopt, true};
}

void decode(const Case& test, TensorPool& pool, Request& request) {
  request.model_name = "identity";
  request.body = test.body;
  require(test.grpc ? decode_v2_grpc(bytes_of(test.body), pool, {}, request)
                    : decode_v2_http(bytes_of(test.body), test.header_length, nullptr, pool, {}, request));
}

void encode(const Case& test, const Request& request, const Response& response) {
  WireMessage message;
  V2HttpHead head;
  require(test.grpc ? encode_v2_grpc(request, response, message)
                    : encode_v2_http(request, response, message, head));
}

void run(const Case& test, TensorPool& pool) {
  const int calls = test.body->size_bytes() > 100000 && !test.header_length && !test.grpc ? 2 : 2000;
  const double decode_ns = measure_ns(
      [&] {
        Request request;
        decode(test, pool, request);
      },
      calls);
  Request request;
  decode(test, pool, request);
  auto spec = std::make_shared<ModelSpec>();
  spec->name = "identity";
  TensorSpec output;
  output.name = "OUTPUT0";
  output.dtype = DataType::kFp32;
  spec->outputs.push_back(output);
  request.spec = spec;
  request.binary_by_default = test.header_length.has_value();
  Response response;
  response.outputs.push_back({0, request.given_inputs.front().tensor});
  const double encode_ns = measure_ns([&] { encode(test, request, response); }, calls);
  std::printf("%-28s decode %12.0f ns   encode %12.0f ns\n", test.name.c_str(), decode_ns, encode_ns);
}

}  // namespace

int main() {
  const auto pool = make_arena_pool(1UL << 30);
  for (const Case& test : {json_case(16), binary_case(16), grpc_case(16), binary_case(150000),
                           grpc_case(150000), json_case(150000)}) {
    run(test, *pool);
  }
  return 0;
}
