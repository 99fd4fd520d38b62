// Products of small matrices and the copying they need; included once by each instruction set's translation unit,
// after its lanes.
#pragma once

#include "attention.h"

namespace {

using namespace dropkit;

constexpr int64_t PANEL = 16 * TILE_VECTORS;

inline Float all(float value) {
  Float out;
  spread(&value, out);
  return out;
}

// The first `count` of 16 numbers, zeros behind.
template <class T> inline Float load_part(const T* p, int64_t count) {
  Float out;
  if (count >= 16) {
    load(p, out);
    return out;
  }
  T buffer[16] = {};
  if (count > 0) __builtin_memcpy(buffer, p, static_cast<size_t>(count) * sizeof(T));
  load(buffer, out);
  return out;
}
template <class T> inline void store_part(T* p, int64_t count, const Float& a) {
  if (count >= 16) return store(p, a);
  T buffer[16];
  store(buffer, a);
  if (count > 0) __builtin_memcpy(p, buffer, static_cast<size_t>(count) * sizeof(T));
}
template <class T> inline Float load_steps(const T* p, int64_t step, int64_t count) {
  T buffer[16] = {};
  for (int64_t i = 0; i < count && i < 16; ++i) buffer[i] = p[i * step];
  Float out;
  load(buffer, out);
  return out;
}

template <class T>
void pack(const T* from, int64_t row_step, int64_t column_step, int64_t rows, int64_t columns, float* panels) {
  for (int64_t first = 0; first < columns; first += PANEL, panels += rows * PANEL)
    for (int64_t n = 0; n < PANEL; n += 16) {
      const int64_t count = columns - first - n;
      const T* corner = from + (first + n) * column_step;
      float* to = panels + n;
      if (row_step != 1 || column_step == 1) {
        for (int64_t k = 0; k < rows; ++k) {
          const T* row = corner + k * row_step;
          store(to + k * PANEL, column_step == 1 ? load_part(row, count) : load_steps(row, column_step, count));
        }
        continue;
      }
      for (int64_t k = 0; k < rows; k += 16) {
        Float block[16];
        for (int64_t i = 0; i < 16; ++i)
          block[i] = i < count ? load_part(corner + i * column_step + k, rows - k) : all(0.0f);
        transpose(block);
        for (int64_t i = 0; i < 16 && k + i < rows; ++i) store(to + (k + i) * PANEL, block[i]);
      }
    }
}

template <class T>
void widen(const T* from, int64_t row_step, int64_t column_step, int64_t rows, int64_t columns, float* to,
           int64_t stride) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t n = 0; n < columns; n += 16) {
      const T* part = from + r * row_step + n * column_step;
      store_part(to + r * stride + n, columns - n,
                 column_step == 1 ? load_part(part, columns - n) : load_steps(part, column_step, columns - n));
    }
}

template <class T>
void narrow(const float* rows, int64_t stride, int64_t count, int64_t columns, const float* factors, float factor,
            T* to, int64_t step) {
  for (int64_t r = 0; r < count; ++r) {
    const Float by = all(factors == nullptr ? factor : factors[r] * factor);
    for (int64_t n = 0; n < columns; n += 16)
      store_part(to + r * step + n, columns - n, load_part(rows + r * stride + n, columns - n) * by);
  }
}

void dots(const float* a, int64_t a_stride, const float* b, int64_t b_stride, int64_t rows, int64_t columns,
          float* out) {
  for (int64_t r = 0; r < rows; ++r) {
    Float total = all(0.0f);
    for (int64_t n = 0; n < columns; n += 16)
      total = fused(load_part(a + r * a_stride + n, columns - n), load_part(b + r * b_stride + n, columns - n), total);
    out[r] = sum(total);
  }
}

template <int rows, int vectors>
void multiply_tile(const float* a, int64_t row_step, int64_t column_step, const float* b, int64_t depth, float* c,
                   int64_t stride, bool add) {
  const float zero = 0.0f;
  Factor total[rows][vectors];
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
    for (int j = 0; j < vectors; ++j)
      if (add)
        load(c + r * stride + 16 * j, total[r][j]);
      else
        spread(&zero, total[r][j]);
  for (int64_t k = 0; k < depth; ++k, a += column_step, b += PANEL) {
    Factor right[vectors];
#pragma GCC unroll 4
    for (int j = 0; j < vectors; ++j) load(b + 16 * j, right[j]);
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r) {
      Factor left;
      spread(a + r * row_step, left);
#pragma GCC unroll 4
      for (int j = 0; j < vectors; ++j) total[r][j] = fused(left, right[j], total[r][j]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
    for (int j = 0; j < vectors; ++j) store(c + r * stride + 16 * j, total[r][j]);
}

using Tile = void (*)(const float*, int64_t, int64_t, const float*, int64_t, float*, int64_t, bool);
template <int rows> constexpr Tile tile_of(int vectors) {
  if constexpr (TILE_VECTORS > 1)
    if (vectors > 1) return multiply_tile<rows, 2>;
  return multiply_tile<rows, 1>;
}
inline Tile tile(int64_t rows, int vectors) {
  if constexpr (TILE_ROWS >= 8) {
    if (rows >= 8) return tile_of<8>(vectors);
    if (rows == 7) return tile_of<7>(vectors);
  }
  if constexpr (TILE_ROWS >= 6) {
    if (rows >= 6) return tile_of<6>(vectors);
    if (rows == 5) return tile_of<5>(vectors);
    if (rows == 4) return tile_of<4>(vectors);
    if (rows == 3) return tile_of<3>(vectors);
  }
  return rows >= 2 ? tile_of<2>(vectors) : tile_of<1>(vectors);
}

void multiply(const float* a, int64_t row_step, int64_t column_step, const float* panels, int64_t packed,
              int64_t rows, int64_t columns, int64_t depth, float* c, int64_t stride, bool add) {
  for (int64_t n = 0; n < columns; n += PANEL, panels += packed * PANEL) {
    const int vectors = static_cast<int>(columns - n > 16 ? TILE_VECTORS : 1);
    for (int64_t r = 0; r < rows;) {
      const int64_t count = rows - r < TILE_ROWS ? rows - r : TILE_ROWS;
      tile(count, vectors)(a + r * row_step, row_step, column_step, panels, depth, c + r * stride + n, stride, add);
      r += count;
    }
  }
}

} // namespace
