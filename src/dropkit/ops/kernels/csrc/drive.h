// Kernels over whole tensors, on torch's threads.
#pragma once

#include <vector>

#include "kernels.h"

namespace dropkit {

// The kernels in use: the widest that the processor has, unless `use` chose others. Not for use during a call.
const Kernels& kernels();
bool use(const char* name);             // false: not on this machine
std::vector<const Kernels*> supported(); // widest first

// One call: a form with its constants, and the law of its mask.
struct Call {
  Form form;
  Dtype dtype;
  Constants constants;
  uint32_t threshold;
};

// Contiguous operands and output of `count` elements; the last operand of BIAS_ADD has `period`, and is repeated.
struct Dense {
  const void* operand[3];
  void* out;
  int64_t count;
  int64_t period;
};

// The mask starts at element number `start`.
void run_dense(const Call& call, const Key& key, uint64_t start, const Dense& tensors);

// One tensor's memory, axis by axis.
struct View {
  char* data;
  std::vector<int64_t> strides; // in elements
};

// A mask that may be constant along axes (size 1 there), with one key for each index of its first axes.
struct MaskSource {
  std::vector<Key> keys;
  std::vector<uint64_t> starts;
  std::vector<int64_t> shape;
  int key_axes; // how many of the first axes the keys run over, row-major; 0: one key
};

// Any layout: element i of the output comes from element i, counted logically, of each operand.
void run_strided(const Call& call, const MaskSource& mask, const std::vector<int64_t>& sizes,
                 const std::vector<View>& operands, const View& out);

// Noise of any layout, with one variate an element and one key for each index of the first axes.
struct NoiseCall {
  Noise noise;
  Dtype dtype;
  double deviation;
};
void run_gaussian(const NoiseCall& call, const Key& key, uint64_t start, const void* a, void* out, int64_t count);
void run_gaussian(const NoiseCall& call, const MaskSource& mask, const View& a, const View& out);

} // namespace dropkit
