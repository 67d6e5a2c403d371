// Messages whose coding is undone, or put on, beside the I/O thread.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "fakes/comes_true.h"
#include "grpc_house.h"
#include "protocol/content_coding.h"
#include "session_house.h"

using namespace naiad;
using namespace naiad::test;

namespace {

std::vector<float> noise(std::size_t count) {
  std::mt19937 random(7);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(random() % 100'000);
  return values;
}

std::string gzipped(const std::string& plain) {
  WireMessage message;
  message.text() = plain;
  message.end_text();
  std::string packed;
  deflate_message(message, ContentCoding::kGzip, packed);
  return packed;
}

std::string coded_infer(const BinaryInfer& binary, const std::string& more_fields = {}) {
  return http_request("POST", "/v2/models/m/infer", gzipped(binary.body),
                      "Content-Encoding: gzip\r\n" + more_fields + binary.field());
}

}  // namespace

TEST_CASE("work runs on its own thread, and its end is told on the I/O thread in the order of asking") {
  const SteadyClock clock;
  EventLoop loop(clock);
  CodingThread coding(loop, "code");
  std::vector<CodingThread::Job> jobs;
  std::vector<int> told;
  std::atomic<bool> elsewhere{true};
  for (int i = 0; i < 20; ++i) {
    jobs.push_back(coding.run(
        [&, here = std::this_thread::get_id()] {
          elsewhere = elsewhere && std::this_thread::get_id() != here;
        },
        [&, i] {
          told.push_back(i);
          if (i == 19) loop.stop();
        }));
    CHECK(jobs.back().under_way());
  }
  jobs[3].cancel();
  jobs[5] = {};
  CHECK_FALSE(jobs[3].under_way());
  loop.run();
  CHECK(elsewhere);
  CHECK(told.size() == 18);
  CHECK(std::is_sorted(told.begin(), told.end()));
  CHECK(std::find(told.begin(), told.end(), 3) == told.end());
  CHECK(std::find(told.begin(), told.end(), 5) == told.end());
  CHECK_FALSE(jobs[19].under_way());
}

TEST_CASE("work that has not begun is dropped with the thread") {
  const SteadyClock clock;
  EventLoop loop(clock);
  const auto kept = std::make_shared<int>(1);
  std::vector<CodingThread::Job> jobs;
  {
    CodingThread coding(loop, "code");
    for (int i = 0; i < 100; ++i) jobs.push_back(coding.run([kept] {}, [kept] {}));
    jobs.clear();
  }
  loop.drop_posted();
  CHECK(kept.use_count() == 1);
}

TEST_CASE("long bodies over HTTP, pipelined: answered in order") {
  SessionHouse house;
  HttpClient client = house.connect();
  const std::vector<float> values = noise(50'000);
  const BinaryInfer long_one = infer_binary(values);
  const BinaryInfer short_one = infer_binary({1, 2, 3});
  client.send(coded_infer(long_one) + coded_infer(short_one) + coded_infer(long_one));
  CHECK(client.answer().body.ends_with(bytes_of(values)));
  CHECK(client.answer().body.ends_with(bytes_of({1, 2, 3})));
  CHECK(client.answer().body.ends_with(bytes_of(values)));
  const HttpAnswer coded = client.ask(coded_infer(long_one, "Accept-Encoding: gzip\r\n"));
  CHECK(coded.fields.at("content-encoding") == "gzip");
  CHECK(coded.body.size() < bytes_of(values).size());
  CHECK(comes_true([&] { return house.bytes.used() == 0; }));
}

TEST_CASE("clients that leave while their bodies are inflated leave nothing behind") {
  SessionHouse house;
  const BinaryInfer binary = infer_binary(noise(50'000));
  for (int i = 0; i < 40; ++i) {
    HttpClient client = house.connect();
    client.send(coded_infer(binary, i % 2 == 0 ? "Accept-Encoding: gzip\r\n" : ""));
  }
  CHECK(comes_true([&] { return house.num_sessions() == 0; }));
  CHECK(comes_true([&] { return house.bytes.used() == 0; }));
  HttpClient client = house.connect();
  CHECK(client.ask(coded_infer(binary)).status == 200);
}

TEST_CASE("messages of a stream, coded and plain, long and short, are answered in their order") {
  GrpcHouse house;
  GrpcClient client(house.connect());
  const std::vector<float> values = noise(50'000);
  const std::string long_one = infer_message(values, "long");
  const std::string short_one = infer_message({1, 2}, "short");
  const std::int32_t id = client.open(kModelStreamInfer, {{"grpc-encoding", "gzip"}});
  for (int i = 0; i < 4; ++i) {
    client.write_message(id, gzipped(long_one), true);
    client.write_message(id, gzipped(short_one), true);
    client.write_message(id, long_one);
  }
  client.half_close(id);
  REQUIRE(client.pump_closed(id));
  CHECK(client.call(id).status() == 0);
  const auto messages = client.call(id).messages();
  REQUIRE(messages.size() == 12);
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const InferAnswer answer = read_stream_answer(messages[i]);
    CHECK(answer.id == (i % 3 == 1 ? "short" : "long"));
    CHECK(answer.raw == (i % 3 == 1 ? bytes_of({1, 2}) : bytes_of(values)));
  }
  CHECK(comes_true([&] { return house.bytes.used() == 0; }));
}

TEST_CASE("calls that are reset or cut off while a message is inflated leave nothing behind") {
  GrpcHouse house;
  const std::string packed = gzipped(infer_message(noise(50'000)));
  for (int i = 0; i < 40; ++i) {
    GrpcClient client(house.connect());
    const std::int32_t id =
        client.open(i % 2 == 0 ? kModelInfer : kModelStreamInfer, {{"grpc-encoding", "gzip"}});
    client.write_message(id, packed, true);
    if (i % 3 != 0) client.half_close(id);
    client.push_all();
    if (i % 3 == 1) client.reset(id);
    if (i % 3 == 1) client.push_all();
  }
  CHECK(comes_true([&] { return house.num_sessions == 0; }));
  CHECK(comes_true([&] { return house.bytes.used() == 0; }));
}
