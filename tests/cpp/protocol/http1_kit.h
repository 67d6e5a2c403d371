#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "protocol/http1.h"

namespace naiad {

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

// A server's reading side of one connection: takes bytes as they come and writes down what it understood.
//   "GET /a; POST /b 'body'; "   two messages (each: method, target, and what is not the default)
//   "400 ..."                    a refusal; nothing is read behind it
//   "more"                       at the end, when the last message is not complete
class Http1Transcript {
 public:
  explicit Http1Transcript(const Http1Limits& limits = {}) : limits_(limits), chunks_(limits) {}

  void feed(std::string_view bytes) {
    input_ += bytes;
    while (!ended_ && advance()) {
    }
  }
  std::string text() const { return ended_ || (!in_body_ && input_.empty()) ? text_ : text_ + "more"; }
  std::string_view last_body() const { return last_body_; }
  std::size_t unread_bytes() const { return input_.size(); }

 private:
  // True when it came further.
  bool advance() { return in_body_ ? advance_body() : advance_head(); }

  bool advance_head() {
    if (input_.empty()) return false;
    const Http1Parsed parsed = parse_http1_request(bytes_of(input_), limits_, head_, scanned_);
    if (parsed.outcome == Http1Outcome::kIncomplete) return false;
    if (parsed.outcome != Http1Outcome::kComplete) {
      refuse(parsed.status);
      return true;
    }
    text_ += std::string(head_.method) + " " + std::string(head_.target);
    if (head_.minor_version == 0) text_ += " 1.0";
    if (head_.expect_continue) text_ += " expects";
    input_.erase(0, head_.size_bytes);
    body_.clear();
    chunks_ = ChunkedReader(limits_);
    in_body_ = true;
    return true;
  }

  bool advance_body() {
    if (head_.framing == BodyFraming::kChunked) {
      const ChunkedReader::Step step = chunks_.step(bytes_of(input_));
      body_.append(reinterpret_cast<const char*>(step.data.data()), step.data.size());
      input_.erase(0, step.consumed_bytes);
      if (step.outcome == Http1Outcome::kMalformed) refuse(400);
      if (step.outcome == Http1Outcome::kTooLarge) refuse(413);
      if (step.outcome == Http1Outcome::kIncomplete) return step.consumed_bytes > 0;
    } else {
      const std::size_t size = std::min(head_.content_length - body_.size(), input_.size());
      body_ += input_.substr(0, size);
      input_.erase(0, size);
      if (body_.size() < head_.content_length) return false;
    }
    if (!ended_) end_message();
    return true;
  }

  void end_message() {
    if (head_.framing != BodyFraming::kNone) text_ += " '" + body_ + "'";
    if (!head_.keep_alive) text_ += " close";
    text_ += "; ";
    ended_ = !head_.keep_alive;
    last_body_ = body_;
    in_body_ = false;
  }

  void refuse(int status) {
    text_ += (in_body_ ? " " : "") + std::to_string(status);
    ended_ = true;
  }

  Http1Limits limits_;
  ChunkedReader chunks_;
  Http1Head head_;
  std::string input_;
  std::string text_;
  std::string body_;
  std::string last_body_;
  std::size_t scanned_ = 0;
  bool in_body_ = false;
  bool ended_ = false;
};

inline std::string transcript_of(std::string_view bytes, const Http1Limits& limits = {}) {
  Http1Transcript transcript(limits);
  transcript.feed(bytes);
  return transcript.text();
}

// The same bytes in two parts.
inline std::string transcript_of(std::string_view bytes, std::size_t split, const Http1Limits& limits = {}) {
  Http1Transcript transcript(limits);
  transcript.feed(bytes.substr(0, split));
  transcript.feed(bytes.substr(split));
  return transcript.text();
}

}  // namespace naiad
