#pragma once

namespace naiad {

// Which work of a GPU goes first, as far as it has a choice (optimization.priority).
enum class StreamPriority : unsigned char { kDefault, kHigh, kLow };

}  // namespace naiad
