// Contiguous tensors: bits for a chunk, then arithmetic on it while both are in the first cache.
#include <algorithm>
#include <cstring>

#include "drive.h"
#include "parallel.h"

namespace dropkit {

namespace {

constexpr int64_t GRAIN = 4; // chunks: 16,384 elements are worth waking a thread for

// `length` elements of `row` repeated without end, from number `at` on.
void repeat(const char* row, int64_t period, int64_t item, int64_t at, int64_t length, char* out) {
  for (; length > 0; at = 0) {
    const int64_t n = std::min(length, period - at);
    std::memcpy(out, row + at * item, static_cast<size_t>(n * item));
    out += n * item, length -= n;
  }
}

} // namespace

void run_dense(const Call& call, const Key& key, uint64_t start, const Dense& tensors) {
  const Kernels& k = kernels();
  const auto apply = k.apply[call.form][call.dtype];
  const auto fused = k.fused[call.form][call.dtype];
  const int64_t item = ITEM_SIZE[call.dtype], count = tensors.count;
  const bool repeated = call.form == BIAS_ADD && tensors.period < count;
  const auto part = [&](int64_t from, int64_t length, const uint64_t* bits) {
    Run run{};
    for (int j = 0; j < OPERANDS[call.form] - repeated; ++j)
      run.operand[j] = static_cast<const char*>(tensors.operand[j]) + from * item;
    run.out = static_cast<char*>(tensors.out) + from * item;
    run.count = length;
    run.bits = bits;
    run.constants = call.constants;
    return run;
  };
  in_parallel((count + CHUNK - 1) / CHUNK, GRAIN, [&](int64_t begin, int64_t end) {
    int64_t i = begin * CHUNK;
    const int64_t stop = std::min(end * CHUNK, count);
    if (fused != nullptr && !repeated && start % GROUP == 0 && stop - i >= GROUP) {
      const int64_t whole = (stop - i) / GROUP * GROUP;
      fused(key, start + static_cast<uint64_t>(i), call.threshold, part(i, whole, nullptr));
      i += whole;
    }
    uint64_t bits[CHUNK_WORDS];
    alignas(64) char row[CHUNK * 8];
    int64_t row_from = -1; // which element of the repeated operand `row` begins with
    for (; i < stop; i += CHUNK) {
      const int64_t length = std::min(CHUNK, stop - i);
      if (call.form != RELU_GRAD) k.keep_bits(key, start + static_cast<uint64_t>(i), length, call.threshold, bits);
      Run run = part(i, length, bits);
      if (repeated) {
        if (row_from != i % tensors.period)
          repeat(static_cast<const char*>(tensors.operand[2]), tensors.period, item, i % tensors.period, CHUNK, row);
        row_from = i % tensors.period;
        run.operand[2] = row;
      }
      apply(run);
    }
  });
}

} // namespace dropkit
