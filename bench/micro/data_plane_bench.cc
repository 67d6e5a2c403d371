// Serves an identity model ("identity", FP32 INPUT0 -> OUTPUT0) through the data plane alone, until its
// standard input is closed; then says what a request has cost. The load comes from outside, e.g.
//
//   data_plane_bench 8000 1 body.bin 16 > figures & h2load --h1 -n 200000 -c 8 -d body.bin
//     -H 'Inference-Header-Content-Length: 165' http://127.0.0.1:8000/v2/models/identity/infer
//
// Arguments: HTTP port, number of I/O threads, a file to write such a body to, how many values it has; for
// TLS also a certificate chain and its key (then the URL begins with https).
#include <sys/resource.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <utility>

#include "backends/identity.h"
#include "engine/engine.h"
#include "io/data_plane.h"

namespace {

naiad::ModelSpec identity_model() {
  naiad::ModelSpec spec;
  spec.name = "identity";
  spec.max_batch_size = 64;
  spec.inputs.push_back({"INPUT0", naiad::DataType::kFp32, naiad::Shape{-1}, {}, false, {}});
  spec.outputs.push_back({"OUTPUT0", naiad::DataType::kFp32, naiad::Shape{-1}, {}, false, {}});
  spec.batching.dynamic = true;
  spec.max_queue_size = 4096;
  return spec;
}

// The size of the body's JSON.
std::size_t write_body(const std::string& path, std::size_t num_values) {
  const std::size_t size_bytes = num_values * sizeof(float);
  const std::string json = R"({"inputs":[{"name":"INPUT0","shape":[1,)" + std::to_string(num_values) +
                           R"(],"datatype":"FP32","parameters":{"binary_data_size":)" +
                           std::to_string(size_bytes) +
                           R"(}}],"outputs":[{"name":"OUTPUT0","parameters":{"binary_data":true}}]})";
  std::ofstream file(path, std::ios::binary);
  file << json << std::string(size_bytes, '\0');
  return json.size();
}

double cpu_us() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto us = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_usec);
  };
  return us(usage.ru_utime) + us(usage.ru_stime);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5 && argc != 7) {
    std::fprintf(stderr, "usage: %s port threads body-file num-values [certificate key]\n", argv[0]);
    return 2;
  }
  naiad::Engine engine(naiad::make_arena_pool(std::size_t{1} << 30));
  const auto model = engine.start(identity_model(), naiad::make_identity_factory(), {{"identity_0", {}}});
  engine.publish("identity", {model});
  naiad::Bridge bridge;
  naiad::DataPlaneOptions options;
  options.http.address = "127.0.0.1";
  options.http.port = static_cast<std::uint16_t>(std::atoi(argv[1]));
  options.grpc.enabled = false;
  if (argc == 7) options.http.tls = naiad::TlsFiles{argv[5], argv[6], ""};
  options.num_threads = static_cast<std::size_t>(std::atoi(argv[2]));
  naiad::DataPlane plane(engine, bridge, options);
  plane.start();
  std::printf("port %u, Inference-Header-Content-Length: %zu\n", static_cast<unsigned>(plane.http_port()),
              write_body(argv[3], static_cast<std::size_t>(std::atoi(argv[4]))));
  std::fflush(stdout);
  const double before_us = cpu_us();
  while (std::getchar() != EOF) {
  }
  const double spent_us = cpu_us() - before_us;
  const auto count = model->statistics().inference_count;
  std::printf("%llu requests, %.2f us of CPU each\n", static_cast<unsigned long long>(count),
              count == 0 ? 0.0 : spent_us / static_cast<double>(count));
  plane.drain(1'000'000'000);
  plane.stop();
  engine.close();
}
