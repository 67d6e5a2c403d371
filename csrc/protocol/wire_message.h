#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace naiad {

// An encoded message as a gather list: pieces of `text` (heads written by an encoder) between views of
// tensors, which the Response it was made from keeps alive. What an I/O layer hands to writev.
class WireMessage {
 public:
  struct Piece {
    const std::byte* data = nullptr;  // null: text() from `offset`
    std::size_t offset = 0;
    std::size_t size_bytes = 0;
  };

  // The text under construction; what was appended since the last piece becomes one by end_text().
  std::string& text() { return text_; }
  void end_text() {
    if (text_.size() > text_taken_) pieces_.push_back({nullptr, text_taken_, text_.size() - text_taken_});
    text_taken_ = text_.size();
  }
  void append_view(std::span<const std::byte> bytes) {
    end_text();
    if (!bytes.empty()) pieces_.push_back({bytes.data(), 0, bytes.size()});
  }

  // The bytes of a piece; valid until the message or the response is changed.
  std::span<const std::byte> bytes(const Piece& piece) const {
    const auto* start =
        piece.data != nullptr ? piece.data : reinterpret_cast<const std::byte*>(text_.data()) + piece.offset;
    return {start, piece.size_bytes};
  }
  const std::vector<Piece>& pieces() const { return pieces_; }
  std::size_t size_bytes() const {
    std::size_t total = 0;
    for (const Piece& piece : pieces_) total += piece.size_bytes;
    return total;
  }

 private:
  std::string text_;
  std::size_t text_taken_ = 0;
  std::vector<Piece> pieces_;
};

}  // namespace naiad
