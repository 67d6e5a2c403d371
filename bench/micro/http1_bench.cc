// Nanoseconds per HTTP/1.1 head: parse of a typical inference request in one piece and in two, its route, and
// writing the head of the answer; the median of many runs, on one thread.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/http1.h"
#include "protocol/v2_route.h"

namespace {

using namespace naiad;

// Median nanoseconds of one call.
double measure_ns(const std::function<void()>& call) {
  constexpr int kRuns = 101;
  constexpr int kCallsPerRun = 2000;
  std::vector<double> runs;
  for (int run = 0; run < kRuns; ++run) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < kCallsPerRun; ++i) call();
    const std::chrono::duration<double, std::nano> spent = std::chrono::steady_clock::now() - start;
    runs.push_back(spent.count() / kCallsPerRun);
  }
  std::nth_element(runs.begin(), runs.begin() + kRuns / 2, runs.end());
  return runs[kRuns / 2];
}

std::span<const std::byte> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

void require(bool holds) {
  if (holds) return;
  std::fputs("the head did not parse\n", stderr);
  std::exit(1);
}

// What tritonclient sends, binary tensors asked for.
const std::string kHead =
    "POST /v2/models/identity/versions/1/infer HTTP/1.1\r\nHost: localhost:8000\r\nUser-Agent: "
    "geventhttpclient\r\n"
    "Content-Type: application/octet-stream\r\nAccept: */*\r\nAccept-Encoding: identity\r\n"
    "Inference-Header-Content-Length: 216\r\nContent-Length: 280\r\n\r\n";

}  // namespace

int main() {
  Http1Head head;
  const double whole_ns = measure_ns([&] {
    std::size_t scanned = 0;
    require(parse_http1_request(bytes_of(kHead), {}, head, scanned).outcome == Http1Outcome::kComplete);
  });
  const double halves_ns = measure_ns([&] {
    std::size_t scanned = 0;
    const std::string_view half = std::string_view(kHead).substr(0, kHead.size() / 2);
    require(parse_http1_request(bytes_of(half), {}, head, scanned).outcome == Http1Outcome::kIncomplete);
    require(parse_http1_request(bytes_of(kHead), {}, head, scanned).outcome == Http1Outcome::kComplete);
  });
  const double route_ns =
      measure_ns([&] { require(find_v2_route(head.target).endpoint == V2Route::Endpoint::kInfer); });
  std::string text;
  const Http1Field fields[] = {{"Content-Type", "application/octet-stream"},
                               {"Inference-Header-Content-Length", "216"}};
  const double write_ns = measure_ns([&] {
    text.clear();
    write_http1_response_head(text, 200, fields, 280, true, 1);
    require(!text.empty());
  });
  std::printf("request head of %zu bytes: %.0f ns in one piece, %.0f ns in two\n", kHead.size(), whole_ns,
              halves_ns);
  std::printf("route: %.0f ns\nresponse head of %zu bytes: %.0f ns\n", route_ns, text.size(), write_ns);
}
