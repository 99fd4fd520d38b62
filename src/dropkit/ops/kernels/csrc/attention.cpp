// Attention in blocks of 64 queries by 256 keys, whose scores never leave the cache. What is computed does not
// depend on the number of threads: they take whole heads, or in the forward pass whole runs of queries.
#include <algorithm>
#include <cmath>
#include <limits>

#include "attention.h"
#include "attention_drive.h"
#include "parallel.h"

namespace dropkit {

namespace {

constexpr int64_t ROWS = 64, COLUMNS = 256;
constexpr int64_t RUN = 256; // queries that share one copy of the keys and values
constexpr int64_t ROW_WORDS = (COLUMNS + GROUP - 1) / GROUP * 2 + 2;
constexpr int64_t STRIDE = COLUMNS + 16; // no power of two: rows one below the other keep out of each other's cache sets

const AttentionKernels& attention_kernels() {
#ifdef DROPKIT_X86
  if (&kernels() == &avx512_kernels) return avx512_attention;
  if (&kernels() == &avx2_kernels && __builtin_cpu_supports("fma")) return avx2_attention;
#endif
  return portable_attention;
}

constexpr int64_t up_to(int64_t count, int64_t multiple) { return (count + multiple - 1) / multiple * multiple; }

// A thread's memory for its blocks, kept from call to call: fresh pages would cost more than the arithmetic.
class Scratch {
public:
  float* take(int64_t count) {
    float* const part = next_;
    next_ += up_to(count, 16);
    return part;
  }
  // Makes room for `count` numbers in `parts` parts.
  explicit Scratch(int64_t count, int64_t parts) {
    thread_local std::vector<float> memory;
    const size_t needed = static_cast<size_t>(count + 16 * (parts + 1));
    if (memory.size() < needed) memory = std::vector<float>(needed);
    const uintptr_t address = reinterpret_cast<uintptr_t>(memory.data());
    next_ = memory.data() + (64 - address % 64) % 64 / sizeof(float);
  }

private:
  float* next_;
};

// Rows of numbers in fp32, where they are or widened.
struct Rows {
  const float* data;
  int64_t row_step, column_step;
};

Rows rows_of(const AttentionKernels& k, const Matrices& m, int64_t batch, int64_t head, int64_t row, int64_t rows,
             int64_t columns, float* room, bool consecutive = false) {
  const char* from = m.at(batch, head, row, 0);
  if (m.dtype == FLOAT32 && (m.step[3] == 1 || !consecutive))
    return {reinterpret_cast<const float*>(from), m.step[2], m.step[3]};
  k.widen(m.dtype, from, m.step[2], m.step[3], rows, columns, room, columns);
  return {room, columns, 1};
}

// Where a block lies: of one matrix of probabilities, rows and columns.
struct Place {
  int64_t batch, head, row, rows, column, columns;
};

// The block's keep bits and bias, which `block` is made to point to.
void furnish(const AttentionKernels& k, const Attention& a, const Place& p, uint64_t* bits, float* bias,
             ScoreBlock& block) {
  const int64_t matrix = p.batch * a.heads + p.head;
  const int64_t share = a.batch * a.heads / static_cast<int64_t>(a.key.size());
  const Key& key = a.key[matrix / share];
  const uint64_t start = a.start[matrix / share] +
                         static_cast<uint64_t>((matrix % share * a.queries + p.row) * a.keys + p.column);
  if (a.keys <= COLUMNS) {
    kernels().keep_bits(key, start, p.rows * a.keys, a.threshold, bits);
    block.bits_stride = a.keys;
  } else {
    for (int64_t r = 0; r < p.rows; ++r)
      kernels().keep_bits(key, start + static_cast<uint64_t>(r * a.keys), p.columns, a.threshold, bits + r * ROW_WORDS);
    block.bits_stride = ROW_WORDS * 64;
  }
  block.bits = bits;
  block.rows = p.rows, block.columns = p.columns, block.stride = STRIDE;
  block.scale = a.scale;
  block.reach = a.causal ? p.row + 1 - p.column : p.columns;
  block.growth = a.causal ? 1 : 0;
  block.bias = nullptr;
  if (a.mask.data == nullptr) return;
  const int64_t* const step = a.mask.step;
  const int64_t rows = step[2] == 0 ? 1 : p.rows;
  const char* const from = a.mask.at(p.batch, p.head, p.row, p.column);
  block.bias = bias, block.bias_stride = step[2] == 0 ? 0 : STRIDE;
  if (a.mask.dtype != BOOLEAN) {
    k.widen(a.mask.dtype, from, step[2], step[3], rows, p.columns, bias, STRIDE);
    return;
  }
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < p.columns; ++c)
      bias[r * STRIDE + c] = from[r * step[2] + c * step[3]] ? 0.0f : -std::numeric_limits<float>::infinity();
}

// The columns from `column` on of which some of the rows may attend to; none: the block is left out.
int64_t width(const Attention& a, int64_t row, int64_t rows, int64_t column) {
  const int64_t columns = std::min(COLUMNS, a.keys - column);
  return a.causal ? std::min(columns, row + rows - column) : columns;
}

void forward(const AttentionKernels& k, const Attention& a, int64_t batch, int64_t head, int64_t first, int64_t last,
             const Matrices& out, float* logarithm) {
  const int64_t shared = head / a.shared, wide = up_to(a.values, 16), run = last - first;
  const int64_t most = std::min(COLUMNS, a.keys), key_room = up_to(most, k.panel) * a.features,
                value_room = up_to(a.values, k.panel) * most;
  Scratch scratch(key_room + value_room + 2 * ROWS * STRIDE + ROWS * a.features + run * (wide + 2), 8);
  float* const key_panels = scratch.take(key_room);
  float* const value_panels = scratch.take(value_room);
  float* const scores = scratch.take(ROWS * STRIDE);
  float* const bias = scratch.take(ROWS * STRIDE);
  float* const query_room = scratch.take(ROWS * a.features);
  float* const sums = scratch.take(run * wide);
  float* const top = scratch.take(run);
  float* const sum = scratch.take(run);
  uint64_t bits[ROWS * ROW_WORDS];
  std::fill(top, top + run, -std::numeric_limits<float>::infinity());
  std::fill(sum, sum + run, 0.0f);
  for (int64_t column = 0; column < a.keys && width(a, first, run, column) > 0; column += COLUMNS) {
    const int64_t columns = std::min(COLUMNS, a.keys - column);
    k.pack(a.k.dtype, a.k.at(batch, shared, column, 0), a.k.step[3], a.k.step[2], a.features, columns, key_panels);
    k.pack(a.v.dtype, a.v.at(batch, shared, column, 0), a.v.step[2], a.v.step[3], columns, a.values, value_panels);
    for (int64_t row = first; row < last; row += ROWS) {
      Place place{batch, head, row, std::min(ROWS, last - row), column, 0};
      place.columns = width(a, row, place.rows, column);
      if (place.columns <= 0) continue;
      const Rows q = rows_of(k, a.q, batch, head, row, place.rows, a.features, query_room);
      k.multiply(q.data, q.row_step, q.column_step, key_panels, a.features, place.rows, place.columns, a.features,
                 scores, STRIDE, false);
      ScoreBlock block{scores};
      furnish(k, a, place, bits, bias, block);
      float* const here = sums + (row - first) * wide;
      k.exponentials(block, {top + row - first, sum + row - first, here, wide, wide});
      k.multiply(scores, STRIDE, 1, value_panels, columns, place.rows, a.values, place.columns, here, wide, column > 0);
    }
  }
  for (int64_t r = 0; r < run; ++r) {
    const bool nothing = sum[r] == 0.0f;
    logarithm[(batch * a.heads + head) * a.queries + first + r] =
        nothing ? std::numeric_limits<float>::infinity() : top[r] + std::log(sum[r]);
    sum[r] = nothing ? 0.0f : 1.0f / sum[r];
  }
  k.narrow(out.dtype, sums, wide, run, a.values, sum, a.keep_scale, out.at(batch, head, first, 0), out.step[2]);
}

// Gradients of one head of keys and values, and of the query heads that share it.
void backward(const AttentionKernels& k, const Attention& a, const AttentionSlope& s, int64_t batch, int64_t shared) {
  const int64_t wide_features = up_to(a.features, 16), wide_values = up_to(a.values, 16);
  const int64_t most = std::min(COLUMNS, a.keys), rows_most = std::min(ROWS, a.queries), features = up_to(a.features, k.panel),
                values = up_to(a.values, k.panel), all = a.shared * a.queries;
  Scratch scratch(up_to(most, k.panel) * (a.features + a.values) + most * (features + wide_features + wide_values) +
                      3 * ROWS * STRIDE + rows_most * (features + values + 2 * a.features + 2 * a.values) +
                      all * (wide_features + 1),
                  16);
  float* const key_panels = scratch.take(up_to(most, k.panel) * a.features); // transposed, as those of the values
  float* const value_panels = scratch.take(up_to(most, k.panel) * a.values);
  float* const key_rows = scratch.take(most * features);
  float* const key_slope = scratch.take(most * wide_features);
  float* const value_slope = scratch.take(most * wide_values);
  float* const scores = scratch.take(ROWS * STRIDE);
  float* const slope = scratch.take(ROWS * STRIDE);
  float* const bias = scratch.take(ROWS * STRIDE);
  float* const query_panels = scratch.take(rows_most * features);
  float* const gradient_panels = scratch.take(rows_most * values);
  float* const query_room = scratch.take(rows_most * a.features);
  float* const gradient_room = scratch.take(rows_most * a.values);
  float* const out_room = scratch.take(rows_most * a.values);
  float* const query_slope = scratch.take(all * wide_features);
  float* const delta = scratch.take(all);
  uint64_t bits[ROWS * ROW_WORDS];
  const auto each_block_of_rows = [&](const auto& body) {
    for (int64_t one = 0; one < a.shared; ++one)
      for (int64_t row = 0; row < a.queries; row += ROWS)
        body(shared * a.shared + one, row, std::min(ROWS, a.queries - row), one * a.queries + row);
  };
  each_block_of_rows([&](int64_t head, int64_t row, int64_t rows, int64_t at) {
    const Rows g = rows_of(k, s.gradient, batch, head, row, rows, a.values, gradient_room, true);
    const Rows o = rows_of(k, s.out, batch, head, row, rows, a.values, out_room, true);
    k.dots(g.data, g.row_step, o.data, o.row_step, rows, a.values, delta + at);
  });
  for (int64_t column = 0; column < a.keys; column += COLUMNS) {
    const int64_t columns = std::min(COLUMNS, a.keys - column);
    const char* const keys = a.k.at(batch, shared, column, 0);
    k.pack(a.k.dtype, keys, a.k.step[3], a.k.step[2], a.features, columns, key_panels);
    k.pack(a.k.dtype, keys, a.k.step[2], a.k.step[3], columns, a.features, key_rows);
    k.pack(a.v.dtype, a.v.at(batch, shared, column, 0), a.v.step[3], a.v.step[2], a.values, columns, value_panels);
    std::fill(key_slope, key_slope + columns * wide_features, 0.0f);
    std::fill(value_slope, value_slope + columns * wide_values, 0.0f);
    each_block_of_rows([&](int64_t head, int64_t row, int64_t rows, int64_t at) {
      const Place place{batch, head, row, rows, column, width(a, row, rows, column)};
      if (place.columns <= 0) return;
      const Rows q = rows_of(k, a.q, batch, head, row, rows, a.features, query_room);
      const Rows g = rows_of(k, s.gradient, batch, head, row, rows, a.values, gradient_room);
      k.pack(FLOAT32, q.data, q.row_step, q.column_step, rows, a.features, query_panels);
      k.pack(FLOAT32, g.data, g.row_step, g.column_step, rows, a.values, gradient_panels);
      k.multiply(q.data, q.row_step, q.column_step, key_panels, a.features, rows, place.columns, a.features, scores,
                 STRIDE, false);
      k.multiply(g.data, g.row_step, g.column_step, value_panels, a.values, rows, place.columns, a.values, slope, STRIDE,
                 false);
      ScoreBlock block{scores};
      furnish(k, a, place, bits, bias, block);
      const int64_t first = (batch * a.heads + head) * a.queries + row;
      k.slopes(block, slope, s.logarithm + first, delta + at, a.keep_scale);
      k.multiply(scores, 1, STRIDE, gradient_panels, rows, place.columns, a.values, rows, value_slope, wide_values, true);
      k.multiply(slope, 1, STRIDE, query_panels, rows, place.columns, a.features, rows, key_slope, wide_features, true);
      k.multiply(slope, STRIDE, 1, key_rows, columns, rows, a.features, place.columns,
                 query_slope + at * wide_features, wide_features, column > 0);
      for (int64_t r = 0; s.scores != nullptr && r < rows; ++r)
        std::copy(slope + r * STRIDE, slope + r * STRIDE + columns, s.scores + (first + r) * a.keys + column);
    });
    k.narrow(s.k.dtype, key_slope, wide_features, columns, a.features, nullptr, a.scale, s.k.at(batch, shared, column, 0),
             s.k.step[2]);
    k.narrow(s.v.dtype, value_slope, wide_values, columns, a.values, nullptr, 1.0f, s.v.at(batch, shared, column, 0),
             s.v.step[2]);
  }
  for (int64_t one = 0; one < a.shared; ++one)
    k.narrow(s.q.dtype, query_slope + one * a.queries * wide_features, wide_features, a.queries, a.features, nullptr,
             a.scale, s.q.at(batch, shared * a.shared + one, 0, 0), s.q.step[2]);
}

} // namespace

void attend(const Attention& a, const Matrices& out, float* logarithm) {
  const AttentionKernels& k = attention_kernels();
  const int64_t runs = (a.queries + RUN - 1) / RUN;
  in_parallel(a.batch * a.heads * runs, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t matrix = i / runs, first = i % runs * RUN;
      forward(k, a, matrix / a.heads, matrix % a.heads, first, std::min(first + RUN, a.queries), out, logarithm);
    }
  });
}

void attend_back(const Attention& a, const AttentionSlope& s) {
  const AttentionKernels& k = attention_kernels();
  const int64_t heads = a.heads / a.shared;
  in_parallel(a.batch * heads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) backward(k, a, s, i / heads, i % heads);
  });
}

} // namespace dropkit
