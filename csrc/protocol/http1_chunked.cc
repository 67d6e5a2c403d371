#include <algorithm>
#include <charconv>
#include <optional>

#include "protocol/http1.h"
#include "protocol/http1_head.h"
#include "protocol/http1_line.h"

namespace naiad {
namespace {

// Extensions mean nothing here, so there is no reason to read long ones over and over.
constexpr std::size_t kMaxSizeLineBytes = 256;
constexpr std::size_t kMaxSizeDigits = 16;

void skip_space(std::string_view& text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
}

// Takes a quoted string off the front (RFC 9110, section 5.6.4). False when it does not end.
bool skip_quoted(std::string_view& text) {
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      text.remove_prefix(i + 1);
      return true;
    }
  }
  return false;
}

// True for *( BWS ";" BWS name [ BWS "=" BWS value ] ), RFC 9112, section 7.1.1.
bool are_extensions(std::string_view text) {
  while (!text.empty()) {
    skip_space(text);
    if (!text.starts_with(';')) return false;
    text.remove_prefix(1);
    skip_space(text);
    const std::size_t name_size = token_length(text);
    if (name_size == 0) return false;
    text.remove_prefix(name_size);
    std::string_view value = text;
    skip_space(value);
    if (!value.starts_with('=')) continue;
    value.remove_prefix(1);
    skip_space(value);
    const std::size_t value_size = token_length(value);
    if (value_size > 0) {
      value.remove_prefix(value_size);
    } else if (!value.starts_with('"') || !skip_quoted(value)) {
      return false;
    }
    text = value;
  }
  return true;
}

// The size that a line of hexadecimal digits and extensions gives.
std::optional<std::size_t> chunk_size(std::string_view line) {
  std::size_t size = 0;
  const std::size_t max_digits = std::min(line.size(), kMaxSizeDigits);
  const auto [end, error] = std::from_chars(line.begin(), line.begin() + max_digits, size, 16);
  if (error != std::errc{}) return std::nullopt;
  const auto num_digits = static_cast<std::size_t>(end - line.begin());
  if (!are_extensions(line.substr(num_digits))) return std::nullopt;
  return size;
}

}  // namespace

ChunkedReader::Step ChunkedReader::step(std::span<const std::byte> input) {
  using Outcome = Http1Line::Outcome;
  const std::string_view text = text_of(input);
  std::size_t at = 0;
  for (;;) {
    if (state_ == State::kDone) return {Http1Outcome::kComplete, at, {}};
    if (state_ == State::kData) {
      const std::size_t size = std::min(left_in_chunk_, text.size() - at);
      left_in_chunk_ -= size;
      if (left_in_chunk_ == 0) state_ = State::kDataEnd;
      return {Http1Outcome::kIncomplete, at + size, input.subspan(at, size)};
    }
    // Everything else is a line: the size, nothing (behind the bytes of a chunk), or a trailer field.
    std::size_t max_line_bytes = 0;
    if (state_ == State::kSize) max_line_bytes = std::min(limits_.max_line_bytes, kMaxSizeLineBytes);
    if (state_ == State::kTrailer) {
      max_line_bytes = std::min(limits_.max_line_bytes, limits_.max_head_bytes - trailer_bytes_);
    }
    const Http1Line found = find_line_end(text, at, at + max_line_bytes);
    if (found.outcome == Outcome::kIncomplete) return {Http1Outcome::kIncomplete, at, {}};
    if (found.outcome == Outcome::kControl ||
        (found.outcome == Outcome::kTooLong && state_ == State::kDataEnd)) {
      return {Http1Outcome::kMalformed, at, {}};
    }
    if (found.outcome == Outcome::kTooLong) return {Http1Outcome::kTooLarge, at, {}};
    const Http1Outcome outcome = take_line(text.substr(at, found.end - at));
    if (outcome != Http1Outcome::kIncomplete) return {outcome, at, {}};
    at = found.end + 2;
  }
}

Http1Outcome ChunkedReader::take_line(std::string_view line) {
  if (state_ == State::kDataEnd) {
    state_ = State::kSize;
    return Http1Outcome::kIncomplete;
  }
  if (state_ == State::kSize) {
    const std::optional<std::size_t> size = chunk_size(line);
    if (!size) return Http1Outcome::kMalformed;
    if (*size > 0 && ++num_chunks_ > limits_.max_chunks) return Http1Outcome::kTooLarge;
    left_in_chunk_ = *size;
    state_ = *size > 0 ? State::kData : State::kTrailer;
    return Http1Outcome::kIncomplete;
  }
  if (line.empty()) {
    state_ = State::kDone;
    return Http1Outcome::kIncomplete;
  }
  const std::size_t name_size = token_length(line);
  if (name_size == 0 || name_size == line.size() || line[name_size] != ':') return Http1Outcome::kMalformed;
  trailer_bytes_ = std::min(trailer_bytes_ + line.size() + 2, limits_.max_head_bytes);
  return Http1Outcome::kIncomplete;
}

}  // namespace naiad
