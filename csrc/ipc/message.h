#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/error.h"

namespace naiad {

// Writes the fields of a message, one behind the other, as this machine has them.
class MessageWriter {
 public:
  template <class T>
    requires(std::is_arithmetic_v<T> || std::is_enum_v<T>)
  void put(T value) {
    append(&value, sizeof value);
  }
  void put(std::string_view text) {
    put(static_cast<std::uint32_t>(text.size()));
    append(text.data(), text.size());
  }

  std::span<const std::byte> bytes() const { return bytes_; }
  void clear() { bytes_.clear(); }

 private:
  void append(const void* data, std::size_t size) {
    if (size == 0) return;
    const std::size_t at = bytes_.size();
    bytes_.resize(at + size);
    std::memcpy(bytes_.data() + at, data, size);
  }

  std::vector<std::byte> bytes_;
};

// Reads them in the same order. Throws Error(kInternal) when there are not enough of them.
class MessageReader {
 public:
  explicit MessageReader(std::span<const std::byte> bytes) : left_(bytes) {}

  template <class T>
    requires(std::is_arithmetic_v<T> && !std::is_same_v<T, bool>)
  T get() {
    T value{};
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  bool get_bool() { return get<std::uint8_t>() != 0; }
  // Points into the message.
  std::string_view get_text() {
    const auto size = get<std::uint32_t>();
    const auto bytes = take(size);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  // The next `size` bytes, which point into the message.
  std::span<const std::byte> get_bytes(std::uint64_t size) { return take(size); }
  bool at_end() const { return left_.empty(); }
  // A number of things that take at least a byte each.
  std::size_t get_count() {
    const auto count = get<std::uint32_t>();
    if (count > left_.size()) malformed();
    return count;
  }

  [[noreturn]] static void malformed() { throw Error(Code::kInternal, "a worker's message is malformed"); }

 private:
  std::span<const std::byte> take(std::uint64_t size) {
    if (size > left_.size()) malformed();
    const auto taken = left_.first(static_cast<std::size_t>(size));
    left_ = left_.subspan(taken.size());
    return taken;
  }

  std::span<const std::byte> left_;
};

}  // namespace naiad
