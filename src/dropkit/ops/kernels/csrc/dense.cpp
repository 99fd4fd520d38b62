// Contiguous tensors: bits for a chunk, then arithmetic on it while both are in the first cache.
#include <algorithm>

#include "drive.h"
#include "parallel.h"

namespace dropkit {

namespace {

constexpr int64_t GRAIN = 4; // chunks: 16,384 elements are worth waking a thread for

} // namespace

void run_dense(const Call& call, const Key& key, uint64_t start, const void* const* operands, void* out,
               int64_t count) {
  const Kernels& k = kernels();
  const auto apply = k.apply[call.form][call.dtype];
  const int64_t item = ITEM_SIZE[call.dtype];
  in_parallel((count + CHUNK - 1) / CHUNK, GRAIN, [&](int64_t begin, int64_t end) {
    uint64_t bits[CHUNK_WORDS];
    for (int64_t i = begin * CHUNK; i < std::min(end * CHUNK, count); i += CHUNK) {
      Run run{};
      run.count = std::min(CHUNK, count - i);
      if (call.form != RELU_GRAD) k.keep_bits(key, start + static_cast<uint64_t>(i), run.count, call.threshold, bits);
      for (int j = 0; j < OPERANDS[call.form]; ++j) run.operand[j] = static_cast<const char*>(operands[j]) + i * item;
      run.out = static_cast<char*>(out) + i * item;
      run.bits = bits;
      run.constants = call.constants;
      apply(run);
    }
  });
}

void run_gaussian(Dtype dtype, double deviation, const Key& key, uint64_t start, const void* a, void* out,
                  int64_t count) {
  const Kernels& k = kernels();
  const int64_t item = ITEM_SIZE[dtype];
  in_parallel((count + CHUNK - 1) / CHUNK, 1, [&](int64_t begin, int64_t end) {
    const int64_t i = begin * CHUNK;
    k.gaussian(key, start + static_cast<uint64_t>(i), std::min(end * CHUNK, count) - i, deviation, dtype,
               static_cast<const char*>(a) + i * item, static_cast<char*>(out) + i * item);
  });
}

} // namespace dropkit
