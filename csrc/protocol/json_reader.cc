#include "protocol/json_reader.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/quoted.h"
#include "protocol/json_escape.h"
#include "protocol/utf8.h"

namespace naiad {
namespace {

// Objects with more keys are checked for duplicates by sorting, when they close.
constexpr std::size_t kFewKeys = 16;

// The most strings that are copied for their escapes: a copy costs far more memory than it takes in the text.
constexpr std::size_t kMaxUnescaped = 65536;

// Set high bits where a byte of `word` is a quote, a backslash or a control character; with false positives
// for bytes >= 0x80 only (which also set their bit).
constexpr std::uint64_t special_bytes(std::uint64_t word) {
  constexpr std::uint64_t kOnes = 0x0101010101010101ULL;
  constexpr std::uint64_t kHigh = 0x8080808080808080ULL;
  const std::uint64_t quote = word ^ (kOnes * '"');
  const std::uint64_t slash = word ^ (kOnes * '\\');
  return ((quote - kOnes) | (slash - kOnes) | (word - kOnes * 0x20) | word) & kHigh;
}

}  // namespace

bool JsonReader::fail(std::string what) {
  if (!failed_) {
    failed_ = true;
    failure_ = std::move(what);
    failed_at_ = at_;
  }
  return false;
}

Status JsonReader::status() const {
  if (!failed_) return {};
  return {Code::kInvalidArgument,
          "failed to parse the request JSON buffer: " + failure_ + " at " + std::to_string(failed_at_)};
}

bool JsonReader::open(char bracket, bool object) {
  if (failed_) return false;
  skip_space();
  if (at_ == text_.size() || text_[at_] != bracket) {
    return fail(object ? "expected an object" : "expected an array");
  }
  if (levels_.size() >= max_depth_) {
    return fail("JSON nesting depth exceeds the limit of " + std::to_string(max_depth_));
  }
  ++at_;
  levels_.push_back({keys_.size(), object});
  first_item_ = true;
  return true;
}

bool JsonReader::enter_object() {
  return open('{', true);
}
bool JsonReader::enter_array() {
  return open('[', false);
}

void JsonReader::close() {
  ++at_;
  keys_.resize(levels_.back().first_key);
  levels_.pop_back();
  first_item_ = false;
}

// Steps over the comma before the next item; false when the closing bracket comes instead (it is left).
bool JsonReader::next_item(char bracket) {
  if (failed_) return false;
  skip_space();
  if (at_ == text_.size()) return fail("unexpected end");
  if (text_[at_] == bracket) return false;
  if (!first_item_) {
    if (text_[at_] != ',') return fail(std::string("expected ',' or '") + bracket + "'");
    ++at_;
    skip_space();
    if (at_ < text_.size() && text_[at_] == bracket) return fail("trailing comma");
  }
  first_item_ = false;
  return true;
}

bool JsonReader::next_element() {
  if (next_item(']')) return true;
  if (!failed_) close();
  return false;
}

bool JsonReader::next_key(std::string_view& key) {
  if (!next_item('}')) {
    if (!failed_ && check_keys()) close();
    return false;
  }
  if (!read_string(key) || !note_key(key)) return false;
  skip_space();
  if (at_ == text_.size() || text_[at_] != ':') return fail("expected ':'");
  ++at_;
  return true;
}

bool JsonReader::note_key(std::string_view key) {
  const auto first = keys_.begin() + static_cast<std::ptrdiff_t>(levels_.back().first_key);
  if (static_cast<std::size_t>(keys_.end() - first) < kFewKeys &&
      std::find(first, keys_.end(), key) != keys_.end()) {
    return fail("duplicate key " + quoted(key));
  }
  keys_.push_back(key);
  return true;
}

bool JsonReader::check_keys() {
  const auto first = keys_.begin() + static_cast<std::ptrdiff_t>(levels_.back().first_key);
  if (static_cast<std::size_t>(keys_.end() - first) <= kFewKeys) return true;
  std::sort(first, keys_.end());
  const auto twin = std::adjacent_find(first, keys_.end());
  return twin == keys_.end() || fail("duplicate key " + quoted(*twin));
}

bool JsonReader::scan_string(std::string_view& raw, bool& escaped) {
  if (failed_) return false;
  skip_space();
  if (at_ == text_.size() || text_[at_] != '"') return fail("expected a string");
  const std::size_t start = ++at_;
  escaped = false;
  bool ascii = true;
  while (true) {
    while (text_.size() - at_ >= 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, text_.data() + at_, 8);
      if (special_bytes(word) != 0) break;
      at_ += 8;
    }
    if (at_ == text_.size()) return fail("unterminated string");
    const auto c = static_cast<unsigned char>(text_[at_]);
    if (c == '"') break;
    if (c < 0x20) return fail("control character in a string");
    if (c == '\\') {
      escaped = true;
      ++at_;
      if (at_ == text_.size()) return fail("unterminated string");
    } else if (c >= 0x80) {
      ascii = false;
    }
    ++at_;
  }
  raw = text_.substr(start, at_ - start);
  ++at_;
  if (!ascii && !is_utf8(raw)) {
    at_ = start;
    return fail("string is not valid UTF-8");
  }
  return true;
}

bool JsonReader::read_string(std::string_view& value) {
  bool escaped = false;
  if (!scan_string(value, escaped)) return false;
  if (!escaped) return true;
  const auto size = unescaped_size(value);
  if (!size) return fail("malformed escape in a string");
  if (unescaped_.size() == kMaxUnescaped) return fail("too many strings with escapes");
  std::string& copy = unescaped_.emplace_back(*size, '\0');
  unescape(value, copy.data());
  value = copy;
  return true;
}

bool JsonReader::measure_string(std::size_t& size_bytes) {
  std::string_view raw;
  bool escaped = false;
  if (!scan_string(raw, escaped)) return false;
  size_bytes = raw.size();
  if (!escaped) return true;
  const auto size = unescaped_size(raw);
  if (!size) return fail("malformed escape in a string");
  size_bytes = *size;
  return true;
}

bool JsonReader::copy_string(std::byte* out, std::size_t& size_bytes) {
  std::string_view raw;
  bool escaped = false;
  if (!scan_string(raw, escaped)) return false;
  size_bytes = raw.size();
  if (escaped) {
    size_bytes = unescape(raw, reinterpret_cast<char*>(out));
  } else if (!raw.empty()) {
    std::memcpy(out, raw.data(), raw.size());
  }
  return true;
}

bool JsonReader::read_word(std::string_view word) {
  if (text_.substr(at_, word.size()) != word) return fail("invalid value");
  at_ += word.size();
  return true;
}

bool JsonReader::read_bool(bool& value) {
  if (peek() != Kind::kBool) return fail("expected true or false");
  value = text_[at_] == 't';
  return read_word(value ? "true" : "false");
}

bool JsonReader::read_number(JsonNumber& number, bool allow_non_finite) {
  if (peek() != Kind::kNumber) return fail("expected a number");
  const std::size_t start = at_;
  if (text_[at_] == '-') ++at_;
  if (at_ < text_.size() && (text_[at_] == 'N' || text_[at_] == 'I')) {
    if (!allow_non_finite) return fail("NaN and Infinity are for floating-point tensors only");
    number.non_finite = true;
    number.integral = false;
    const std::string_view rest = text_.substr(at_);
    if (!read_word(rest.starts_with('N') ? "NaN" : rest.starts_with("Infinity") ? "Infinity" : "Inf"))
      return false;
    number.text = text_.substr(start, at_ - start);
    return true;
  }
  number = scan_json_number(text_.substr(start));
  if (number.text.empty()) return fail("invalid number");
  at_ = start + number.text.size();
  return true;
}

bool JsonReader::read_scalar(bool allow_non_finite) {
  switch (peek()) {
    case Kind::kString: {
      std::size_t size_bytes = 0;
      return measure_string(size_bytes);
    }
    case Kind::kNumber: {
      JsonNumber number;
      return read_number(number, allow_non_finite);
    }
    case Kind::kBool: {
      bool value = false;
      return read_bool(value);
    }
    case Kind::kNull:
      return read_word("null");
    default:
      return fail("invalid value");
  }
}

bool JsonReader::skip_value(bool allow_non_finite) {
  const std::size_t outside = levels_.size();
  do {
    // Before a value here: at the start, or behind a key or a comma.
    const Kind kind = peek();
    if (kind == Kind::kObject  ? !enter_object()
        : kind == Kind::kArray ? !enter_array()
                               : !read_scalar(allow_non_finite)) {
      return false;
    }
    while (levels_.size() > outside) {
      std::string_view key;
      if (levels_.back().object ? next_key(key) : next_element()) break;
      if (failed_) return false;
    }
  } while (levels_.size() > outside);
  return true;
}

bool JsonReader::at_end() {
  skip_space();
  return !failed_ && at_ == text_.size();
}

}  // namespace naiad
