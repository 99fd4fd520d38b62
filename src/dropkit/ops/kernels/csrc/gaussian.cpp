// Normal noise on tensors of any layout. Making a variate takes far longer than finding its element, so elements are
// walked in their logical order, as the variates come.
#include <algorithm>

#include "copy.h"
#include "drive.h"
#include "parallel.h"

namespace dropkit {

namespace {

constexpr int64_t PIECE = 1024; // elements gathered at once

// Calls body(offset in `view`, stride, position, count) for the runs of its last axis that make up elements `first`
// ... `first + count`, counted row-major.
template <class Body>
void walk(const std::vector<int64_t>& sizes, const View& view, int64_t first, int64_t count, const Body& body) {
  const int last = static_cast<int>(sizes.size()) - 1;
  for (int64_t done = 0; done < count;) {
    int64_t rest = first + done, offset = 0, run = count - done, stride = 1;
    for (int axis = last; axis >= 0; --axis) {
      const int64_t index = rest % sizes[axis];
      if (axis == last) run = std::min(run, sizes[axis] - index), stride = view.strides[axis];
      offset += index * view.strides[axis];
      rest /= sizes[axis];
    }
    body(offset, stride, done, run);
    done += run;
  }
}

} // namespace

void run_gaussian(const NoiseCall& call, const Key& key, uint64_t start, const void* a, void* out, int64_t count) {
  const auto gaussian = kernels().gaussian[call.noise][call.dtype];
  const int64_t item = ITEM_SIZE[call.dtype];
  in_parallel((count + CHUNK - 1) / CHUNK, 1, [&](int64_t begin, int64_t end) {
    const int64_t i = begin * CHUNK;
    gaussian(key, start + static_cast<uint64_t>(i), std::min(end * CHUNK, count) - i, call.deviation,
             static_cast<const char*>(a) + i * item, static_cast<char*>(out) + i * item);
  });
}

void run_gaussian(const NoiseCall& call, const MaskSource& mask, const View& a, const View& out) {
  const auto gaussian = kernels().gaussian[call.noise][call.dtype];
  const int64_t item = ITEM_SIZE[call.dtype], rows = static_cast<int64_t>(mask.keys.size());
  int64_t row = 1;
  for (size_t axis = mask.key_axes; axis < mask.shape.size(); ++axis) row *= mask.shape[axis];
  const int64_t pieces = (row + PIECE - 1) / PIECE;
  in_parallel(rows * pieces, 4, [&](int64_t begin, int64_t end) {
    alignas(64) char from[PIECE * 8], to[PIECE * 8];
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t r = unit / pieces, first = unit % pieces * PIECE, count = std::min(PIECE, row - first);
      walk(mask.shape, a, r * row + first, count, [&](int64_t offset, int64_t stride, int64_t position, int64_t run) {
        copy_items(item, a.data + offset * item, stride, from + position * item, 1, run);
      });
      gaussian(mask.keys[r], mask.starts[r] + static_cast<uint64_t>(first), count, call.deviation, from, to);
      walk(mask.shape, out, r * row + first, count, [&](int64_t offset, int64_t stride, int64_t position, int64_t run) {
        copy_items(item, to + position * item, 1, out.data + offset * item, stride, run);
      });
    }
  });
}

} // namespace dropkit
