#include "io/http_answer.h"

#include <array>
#include <utility>

#include "protocol/header_number.h"
#include "protocol/http_status.h"
#include "protocol/json_writer.h"
#include "protocol/v2_http.h"

namespace naiad {
namespace {

constexpr std::string_view kJson = "application/json";
constexpr std::string_view kBinary = "application/octet-stream";
// Up to here an answer is copied behind its head: one piece to send, and its request is free at once.
constexpr std::size_t kCopyBytes = 8 << 10;

// What the pieces of an answer point into.
struct SentAnswer {
  std::unique_ptr<Request> request;
  Response response;
  WireMessage body;
};

void append_pieces(std::string& text, const WireMessage& message) {
  for (const WireMessage::Piece& piece : message.pieces()) {
    const auto bytes = message.bytes(piece);
    text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
}

}  // namespace

Outgoing make_error_answer(int status, std::string_view message, const AnswerFraming& framing,
                           std::optional<Http1Field> hint) {
  std::string body;
  if (framing.openai_errors) {
    append_openai_error_body(body, status, message);
  } else {
    append_error_body(body, message);
  }
  std::array<Http1Field, 2> fields{Http1Field{"Content-Type", kJson}, {}};
  // What is full now is soon not so: clients that know the field come again by themselves.
  if (status == 503 && !hint) hint = {"Retry-After", "1"};
  if (hint) fields[1] = *hint;
  Outgoing outgoing;
  std::string& text = outgoing.message.text();
  write_http1_response_head(text, status, std::span(fields).first(hint ? 2 : 1), body.size(),
                            framing.keep_alive, framing.minor_version);
  if (!framing.head_request) text += body;
  outgoing.message.end_text();
  return outgoing;
}

Status make_infer_answer(std::unique_ptr<Request> request, Response response, ContentCoding coding,
                         const AnswerFraming& framing, Outgoing& outgoing) {
  if (!response.status.ok()) return response.status;
  auto answer = std::make_shared<SentAnswer>();
  V2HttpHead head;
  if (Status status = encode_v2_http(*request, response, answer->body, head); !status.ok()) return status;
  std::string packed;
  const bool coded = coding != ContentCoding::kIdentity;
  if (coded) deflate_message(answer->body, coding, packed);
  const std::size_t size_bytes = coded ? packed.size() : answer->body.size_bytes();

  std::array<Http1Field, 3> fields{};
  std::size_t num_fields = 0;
  std::string json_size;
  fields[num_fields++] = {"Content-Type", head.json_size_bytes ? kBinary : kJson};
  if (head.json_size_bytes) {
    append_json_integer(json_size, *head.json_size_bytes);
    fields[num_fields++] = {kInferenceHeaderLength, json_size};
  }
  if (coded) fields[num_fields++] = {"Content-Encoding", content_coding_name(coding)};

  std::string& text = outgoing.message.text();
  text.reserve(256 + (size_bytes <= kCopyBytes ? size_bytes : 0));
  write_http1_response_head(text, 200, std::span(fields).first(num_fields), size_bytes, framing.keep_alive,
                            framing.minor_version);
  if (coded) {
    text += packed;
  } else if (size_bytes <= kCopyBytes) {
    append_pieces(text, answer->body);
  } else {
    for (const WireMessage::Piece& piece : answer->body.pieces()) {
      outgoing.message.append_view(answer->body.bytes(piece));
    }
    answer->request = std::move(request);
    answer->response = std::move(response);
    outgoing.owner = std::move(answer);
  }
  outgoing.message.end_text();
  return {};
}

}  // namespace naiad
