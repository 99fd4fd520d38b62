// Any layout, and masks that are constant along axes: the bits of the whole mask first, then the output in the
// order of its memory, each run of elements looking up its bits by logical index.
#include <algorithm>
#include <cstring>
#include <memory>
#include <numeric>

#include "bits.h"
#include "copy.h"
#include "drive.h"
#include "parallel.h"

namespace dropkit {

namespace {

constexpr int64_t GRAIN = 16384; // elements that are worth waking a thread for

// An axis as every participant sees it: operands first, then the output.
struct Axis {
  int64_t size;
  int64_t stride[4];
  int64_t mask_stride; // in bits
};

struct Bits {
  std::unique_ptr<uint64_t[]> words;
  int64_t row_words; // each key's bits start at a word
};

Bits draw(const MaskSource& mask, uint32_t threshold) {
  int64_t row = 1;
  for (size_t axis = mask.key_axes; axis < mask.shape.size(); ++axis) row *= mask.shape[axis];
  const int64_t rows = static_cast<int64_t>(mask.keys.size()), chunks = (row + CHUNK - 1) / CHUNK;
  const int64_t row_words = chunks * (CHUNK / 64);
  Bits bits{std::unique_ptr<uint64_t[]>(new uint64_t[rows * row_words + 1]), row_words};
  const Kernels& k = kernels();
  in_parallel(rows * chunks, 4, [&](int64_t begin, int64_t end) {
    uint64_t buffer[CHUNK_WORDS]; // generation works on whole groups and may run over
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t r = unit / chunks, chunk = unit % chunks, first = chunk * CHUNK;
      const int64_t count = std::min(CHUNK, row - first);
      k.keep_bits(mask.keys[r], mask.starts[r] + static_cast<uint64_t>(first), count, threshold, buffer);
      std::memcpy(bits.words.get() + r * row_words + chunk * (CHUNK / 64), buffer,
                  static_cast<size_t>((count + 63) / 64) * 8);
    }
  });
  return bits;
}

std::vector<int64_t> mask_strides(const MaskSource& mask, int64_t row_words) {
  std::vector<int64_t> strides(mask.shape.size());
  int64_t step = 1;
  for (int axis = static_cast<int>(mask.shape.size()) - 1; axis >= 0; --axis) {
    if (axis == mask.key_axes - 1) step = row_words * 64;
    strides[axis] = mask.shape[axis] == 1 ? 0 : step;
    step *= mask.shape[axis];
  }
  return strides;
}

// Axes in the order of the output's memory, outermost first, merged where everyone walks them as one.
std::vector<Axis> plan(const std::vector<int64_t>& sizes, const std::vector<View>& operands, const View& out,
                       const std::vector<int64_t>& mask) {
  std::vector<Axis> axes;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] == 1) continue;
    Axis axis{sizes[i], {0, 0, 0, 0}, mask[i]};
    for (size_t j = 0; j < operands.size(); ++j) axis.stride[j] = operands[j].strides[i];
    axis.stride[operands.size()] = out.strides[i];
    axes.push_back(axis);
  }
  const size_t last = operands.size();
  std::stable_sort(axes.begin(), axes.end(), [&](const Axis& a, const Axis& b) { return a.stride[last] > b.stride[last]; });
  std::vector<Axis> merged;
  for (const Axis& axis : axes) {
    bool same = !merged.empty() && merged.back().mask_stride == axis.mask_stride * axis.size;
    for (size_t j = 0; same && j <= last; ++j) same = merged.back().stride[j] == axis.stride[j] * axis.size;
    if (same) {
      Axis& outer = merged.back();
      outer.size *= axis.size;
      outer.mask_stride = axis.mask_stride;
      std::copy(axis.stride, axis.stride + 4, outer.stride);
    } else {
      merged.push_back(axis);
    }
  }
  if (merged.empty()) merged.push_back({1, {1, 1, 1, 1}, 0});
  return merged;
}

// The axis along which the bits lie one after another, where they are far apart along the innermost one: lines of it
// are looked up together, as a transposed tile. The number of axes if there is none.
size_t crossing(const std::vector<Axis>& axes) {
  if (axes.back().mask_stride > 1)
    for (size_t axis = 0; axis + 1 < axes.size(); ++axis)
      if (axes[axis].mask_stride == 1 && axes[axis].size > 1) return axis;
  return axes.size();
}

} // namespace

void run_strided(const Call& call, const MaskSource& mask, const std::vector<int64_t>& sizes,
                 const std::vector<View>& operands, const View& out) {
  const int64_t total = std::accumulate(sizes.begin(), sizes.end(), int64_t{1}, std::multiplies<int64_t>());
  if (total == 0) return;
  const Bits bits = call.form == RELU_GRAD ? Bits{nullptr, 1} : draw(mask, call.threshold);
  const std::vector<Axis> axes = plan(sizes, operands, out, mask_strides(mask, bits.row_words));
  const Axis inner = axes.back();
  const size_t used = operands.size();
  const int64_t item = ITEM_SIZE[call.dtype];
  const size_t across = call.form == RELU_GRAD ? axes.size() : crossing(axes); // that form has no bits
  const bool crossed = across < axes.size();
  const int64_t longest = crossed ? TILE_COLUMNS : CHUNK, pieces = (inner.size + longest - 1) / longest; // of a run
  const auto steps = [&](size_t axis) {
    return axis == across ? (axes[axis].size + TILE_LINES - 1) / TILE_LINES : axes[axis].size;
  };
  int64_t units = pieces;
  for (size_t axis = 0; axis + 1 < axes.size(); ++axis) units *= steps(axis);
  bool joined = crossed && pieces == 1; // the lines of a tile lie one after another
  for (size_t j = 0; joined && j <= used; ++j) joined = inner.stride[j] == 1 && axes[across].stride[j] == inner.size;
  const auto apply = kernels().apply[call.form][call.dtype];
  in_parallel(units, std::max<int64_t>(1, GRAIN / std::max<int64_t>(1, total / units)), [&](int64_t begin, int64_t end) {
    uint64_t packed[TILE_LINES * TILE_COLUMNS / 64 + 1], row[TILE_LINES * TILE_COLUMNS / 64 + 1];
    alignas(64) char gathered[4][CHUNK * 8];
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t from = unit % pieces * longest, count = std::min(longest, inner.size - from);
      int64_t offset[4], position = from * inner.mask_stride, rest = unit / pieces, lines = 1;
      for (size_t j = 0; j <= used; ++j) offset[j] = from * inner.stride[j];
      for (size_t axis = axes.size() - 1; axis-- > 0; rest /= steps(axis)) {
        int64_t index = rest % steps(axis);
        if (axis == across) index *= TILE_LINES, lines = std::min(TILE_LINES, axes[axis].size - index);
        for (size_t j = 0; j <= used; ++j) offset[j] += index * axes[axis].stride[j];
        position += index * axes[axis].mask_stride;
      }
      const int64_t line_words = (count + 63) / 64;
      if (crossed) transpose_bits(bits.words.get(), position, inner.mask_stride, lines, count, packed);
      else if (call.form != RELU_GRAD) gather_bits(bits.words.get(), position, inner.mask_stride, count, packed);
      Run run{};
      run.constants = call.constants;
      if (joined) {
        join_lines(packed, lines, count, row);
        for (size_t j = 0; j < used; ++j) run.operand[j] = operands[j].data + offset[j] * item;
        run.out = out.data + offset[used] * item;
        run.count = lines * count;
        run.bits = row;
        apply(run);
        continue;
      }
      for (int64_t line = 0; line < lines; ++line) {
        const auto at = [&](size_t j) { return (offset[j] + (crossed ? line * axes[across].stride[j] : 0)) * item; };
        for (size_t j = 0; j < used; ++j) {
          const char* data = operands[j].data + at(j);
          if (inner.stride[j] != 1) copy_items(item, data, inner.stride[j], gathered[j], 1, count);
          run.operand[j] = inner.stride[j] == 1 ? data : gathered[j];
        }
        char* target = out.data + at(used);
        run.out = inner.stride[used] == 1 ? target : gathered[used];
        run.count = count;
        run.bits = packed + line * line_words;
        apply(run);
        if (inner.stride[used] != 1) copy_items(item, gathered[used], 1, target, inner.stride[used], count);
      }
    }
  });
}

} // namespace dropkit
