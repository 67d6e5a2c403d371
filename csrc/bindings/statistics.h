#pragma once

#include <vector>

#include "bindings/python_object.h"
#include "engine/model.h"

namespace naiad {

// What a model version has counted, as _core.pyi says. With the GIL.
py::dict statistics_dict(const StatisticsValues& values);
// How its durations and batches are spread.
py::dict distributions_dict(const Model& model);
// The quantiles of its summaries at `shares`; None: it keeps none.
py::object summaries_dict(const Model& model, const std::vector<double>& shares);

}  // namespace naiad
