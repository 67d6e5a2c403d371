#include "schedule/same_shape.h"

#include <algorithm>
#include <span>

namespace naiad {
namespace {

bool same_values(const Tensor& a, const Tensor& b) {
  return std::ranges::equal(a.shape, b.shape) &&
         std::ranges::equal(std::span(a.data, a.size_bytes), std::span(b.data, b.size_bytes));
}

}  // namespace

bool batch_together(const Request& a, const Request& b) {
  for (std::size_t i = 0; i < a.inputs.size(); ++i) {
    if (a.spec && a.spec->inputs[i].ragged) continue;
    const Tensor& x = a.inputs[i];
    const Tensor& y = b.inputs[i];
    if (x.present() != y.present()) return false;
    if (!x.present()) continue;
    if (a.spec && a.spec->inputs[i].shape_values) {
      if (!same_values(x, y)) return false;
    } else if (!std::ranges::equal(x.shape.tail(), y.shape.tail())) {
      return false;
    }
  }
  return true;
}

}  // namespace naiad
