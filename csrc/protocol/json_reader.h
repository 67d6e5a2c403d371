#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "protocol/json_number.h"
#include "request/text_store.h"

namespace naiad {

// Pulls values out of a JSON text (RFC 8259, strict: UTF-8 checked, no duplicate keys in any object, no
// trailing commas, no lone surrogates) without building a tree and without recursion. The tokens NaN, Inf and
// Infinity, which Triton's clients send, are numbers that only a caller who asks for them accepts. Strings
// are views of the text; one that holds an escape is copied to `unescaped`. The first failure sticks: every
// later call returns false. Not thread-safe.
class JsonReader {
 public:
  enum class Kind : unsigned char { kObject, kArray, kString, kNumber, kBool, kNull, kOther };

  // Reads `text` from `start` on; at most `max_depth` arrays and objects may be open at once.
  JsonReader(std::string_view text, std::size_t start, std::size_t max_depth, TextStore& unescaped)
      : text_(text), at_(start), max_depth_(max_depth), unescaped_(unescaped) {
    levels_.reserve(8);
    keys_.reserve(16);
  }

  // What the next value is, by its first character.
  Kind peek() {
    skip_space();
    return failed_ || at_ == text_.size() ? Kind::kOther : kind_of(text_[at_]);
  }

  bool enter_object();
  // The next key of the open object; false behind the last one (which closes it) or on failure.
  bool next_key(std::string_view& key);
  bool enter_array();
  // True when the open array has another element; false behind the last one (which closes it) or on failure.
  bool next_element();

  bool read_string(std::string_view& value);
  // A string's unescaped size, read over without keeping it.
  bool measure_string(std::size_t& size_bytes);
  // A string's unescaped bytes written to `out`, which has room for what measure_string() told.
  bool copy_string(std::byte* out, std::size_t& size_bytes);
  bool read_bool(bool& value);
  bool read_number(JsonNumber& number, bool allow_non_finite = false);
  bool skip_value(bool allow_non_finite = false);
  // True when nothing but white space is left.
  bool at_end();

  bool failed() const { return failed_; }
  // kInvalidArgument that names the first failure and its place.
  Status status() const;
  std::size_t position() const { return at_; }
  std::size_t remaining() const { return text_.size() - at_; }

 private:
  struct Level {
    std::size_t first_key;
    bool object;
  };

  bool fail(std::string what);
  static constexpr Kind kind_of(char first) {
    switch (first) {
      case '{':
        return Kind::kObject;
      case '[':
        return Kind::kArray;
      case '"':
        return Kind::kString;
      case 't':
      case 'f':
        return Kind::kBool;
      case 'n':
        return Kind::kNull;
      case '-':
      case 'N':
      case 'I':
        return Kind::kNumber;
      default:
        return first >= '0' && first <= '9' ? Kind::kNumber : Kind::kOther;
    }
  }
  void skip_space() {
    std::size_t at = at_;
    while (at < text_.size() &&
           (text_[at] == ' ' || text_[at] == '\n' || text_[at] == '\r' || text_[at] == '\t')) {
      ++at;
    }
    at_ = at;
  }
  bool open(char bracket, bool object);
  void close();
  bool next_item(char bracket);
  bool note_key(std::string_view key);
  bool check_keys();
  bool read_word(std::string_view word);
  bool read_scalar(bool allow_non_finite);
  // The raw characters between the quotes of the string at at_, and whether they hold an escape.
  bool scan_string(std::string_view& raw, bool& escaped);

  std::string_view text_;
  std::size_t at_;
  std::size_t max_depth_;
  TextStore& unescaped_;
  std::vector<Level> levels_;
  std::vector<std::string_view> keys_;  // of all open objects, the outermost first
  bool first_item_ = false;             // the container opened last has no item yet
  bool failed_ = false;
  std::string failure_;
  std::size_t failed_at_ = 0;
};

}  // namespace naiad
