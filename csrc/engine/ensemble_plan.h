#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace naiad {

// The graph of an ensemble, compiled: steps, and the tensors between them by number. Made from the
// configuration by the Python side, which has checked it: each tensor is an input of the ensemble or the
// output of one step, and there is no cycle. Any thread reads it.
struct EnsemblePlan {
  // An input or output of a step's model, and the ensemble's tensor that it is.
  struct Link {
    std::string name;
    std::size_t tensor = 0;
    bool optional = false;  // inputs: the model runs without it
  };
  // The step runs when the BOOL tensor is there and its first element is `expected`.
  struct Condition {
    std::size_t tensor = 0;
    bool expected = true;
  };
  struct Step {
    std::string model;
    std::string version;  // empty: the highest
    std::vector<Link> inputs;
    std::vector<Link> outputs;
    std::optional<Condition> when;
  };

  std::vector<std::string> tensors;  // names, for messages
  std::vector<std::size_t> inputs;   // the tensor of each input of the ensemble's ModelSpec
  std::vector<std::size_t> outputs;  // and of each output
  std::vector<Step> steps;
  std::size_t max_inflight_requests = 0;  // of one step, for one request of the ensemble; 0: any number
};

// Which steps wait for which: the positions of those that read what a step makes, each once.
struct EnsembleOrder {
  explicit EnsembleOrder(const EnsemblePlan& plan);

  std::vector<std::vector<std::size_t>> consumers;  // by step
  std::vector<std::vector<std::size_t>> behind;     // by step: all that wait for it, by others too
  std::vector<std::size_t> num_producers;           // by step

  // An input of a step.
  struct Reader {
    std::size_t step = 0;
    std::string input;
  };
  std::vector<std::vector<Reader>> readers;  // by tensor
  std::vector<bool> on_host;  // by tensor: the ensemble itself reads it there, whoever else does
};

}  // namespace naiad
