#include "schedule/same_shape.h"

#include <algorithm>

namespace naiad {

bool batch_together(const Request& a, const Request& b) {
  for (std::size_t i = 0; i < a.inputs.size(); ++i) {
    if (a.spec && a.spec->inputs[i].ragged) continue;
    const Tensor& x = a.inputs[i];
    const Tensor& y = b.inputs[i];
    if (x.present() != y.present()) return false;
    if (x.present() && !std::ranges::equal(x.shape.tail(), y.shape.tail())) return false;
  }
  return true;
}

}  // namespace naiad
