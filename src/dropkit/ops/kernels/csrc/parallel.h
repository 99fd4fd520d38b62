// Loops over torch's own thread pool, through its stable interface.
#pragma once

#include <torch/csrc/stable/ops.h>

namespace dropkit {

// Calls body(begin, end) on parts of [0, count) of at least `grain` units. The body must not throw, and what it
// writes must not depend on where the parts are cut.
template <class Body> void in_parallel(int64_t count, int64_t grain, const Body& body) {
  if (count <= grain) {
    if (count > 0) body(int64_t{0}, count);
    return;
  }
  torch::stable::parallel_for(0, count, grain, body);
}

} // namespace dropkit
