// Softmax and dropout on blocks of scores; included once by each instruction set's translation unit.
#pragma once

#include "tile_product.h"

namespace {

// exp(x) for x up to 88, within 2 ulp; 0 where the result would be subnormal. Cephes' polynomial.
inline __attribute__((always_inline)) Float exponential(const Float& x) {
  constexpr float c[6] = {1.9875691500e-4f, 1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f};
  const Float least = all(-87.33654f);
  const Float inside = larger(least, x); // NaN stays: of two that do not compare the second is taken
  const Float n = rounded(inside * all(1.44269504f));
  const Float r = fused(n, all(2.12194440e-4f), fused(n, all(-0.693359375f), inside));
  Float y = all(c[0]);
#pragma GCC unroll 5
  for (int i = 1; i < 6; ++i) y = fused(y, r, all(c[i]));
  return zero_below(x, least, scaled(fused(y, r * r, r + all(1.0f)), n));
}

// 16 bits from number `at` on. Reads up to four bytes.
inline uint32_t bits_from(const uint64_t* bits, int64_t at) {
  uint32_t word;
  __builtin_memcpy(&word, reinterpret_cast<const char*>(bits) + (at >> 3), 4);
  return word >> (at & 7);
}

inline int64_t reach_of(const ScoreBlock& b, int64_t row) {
  const int64_t reach = b.reach + row * b.growth;
  return reach < 0 ? 0 : reach < b.columns ? reach : b.columns;
}
inline uint32_t first_bits(int64_t count) { return count >= 16 ? 0xFFFFu : (1u << count) - 1u; }

inline __attribute__((always_inline)) Float biased(const ScoreBlock& b, const float* scores, const Float& scale, int64_t row,
                                                   int64_t n) {
  Float x;
  load(scores + n, x);
  if (b.bias == nullptr) return x * scale;
  Float bias;
  load(b.bias + row * b.bias_stride + n, bias);
  return fused(x, scale, bias);
}

void exponentials(const ScoreBlock& b, const Running& run) {
  const float nothing = -__builtin_inff();
  const Float scale = all(b.scale), bottom = all(nothing);
  for (int64_t r = 0; r < b.rows; ++r) {
    float* const scores = b.scores + r * b.stride;
    const int64_t reach = reach_of(b, r);
    Float highest = bottom;
    for (int64_t n = 0; n < reach; n += 16) {
      Float x = biased(b, scores, scale, r, n);
      if (reach - n < 16) x = choose(mask_of(first_bits(reach - n)), x, bottom);
      highest = larger(x, highest);
      store(scores + n, x);
    }
    const float before = run.top[r], in_block = largest(highest);
    const float top = in_block > before ? in_block : before;
    const float origin = top == nothing ? 0.0f : -top; // nothing minus nothing would be NaN
    const Float shift = all(origin);
    Float total = all(0.0f);
    const int64_t bit = r * b.bits_stride;
    int64_t n = 0;
    for (; n < reach; n += 16) {
      Float x;
      load(scores + n, x);
      const Float p = exponential(x + shift);
      total = total + p;
      store(scores + n, kept(mask_of(bits_from(b.bits, bit + n)), p));
    }
    for (; n < b.columns; n += 16) store(scores + n, all(0.0f));
    run.top[r] = top;
    if (top != before && before != nothing) {
      const Float down = exponential(all(before - top));
      float factor[16];
      store(factor, down);
      run.sum[r] *= factor[0];
      for (int64_t j = 0; j < run.columns; j += 16) {
        Float o;
        load(run.out + r * run.stride + j, o);
        store(run.out + r * run.stride + j, o * down);
      }
    }
    run.sum[r] += sum(total);
  }
}

void slopes(const ScoreBlock& b, float* gradients, const float* logarithm, const float* delta, float keep_scale) {
  const Float scale = all(b.scale), up = all(keep_scale), zero = all(0.0f);
  for (int64_t r = 0; r < b.rows; ++r) {
    float* const scores = b.scores + r * b.stride;
    float* const slope = gradients + r * b.stride;
    const int64_t reach = reach_of(b, r), bit = r * b.bits_stride;
    const Float shift = all(-logarithm[r]), mean = all(delta[r]);
    int64_t n = 0;
    for (; n < reach; n += 16) {
      Float g;
      load(slope + n, g);
      Float p = exponential(biased(b, scores, scale, r, n) + shift);
      if (reach - n < 16) p = kept(mask_of(first_bits(reach - n)), p);
      const Mask keep = mask_of(bits_from(b.bits, bit + n));
      store(scores + n, kept_product(keep, p, up));
      store(slope + n, p * (kept_product(keep, g, up) - mean));
    }
    for (; n < b.columns; n += 16) store(scores + n, zero), store(slope + n, zero);
  }
}

void pack_of(int dtype, const void* from, int64_t row_step, int64_t column_step, int64_t rows, int64_t columns,
             float* panels) {
  if (dtype == FLOAT32) pack(static_cast<const float*>(from), row_step, column_step, rows, columns, panels);
  if (dtype == BFLOAT16) pack(static_cast<const Bfloat16*>(from), row_step, column_step, rows, columns, panels);
  if (dtype == FLOAT16) pack(static_cast<const Half*>(from), row_step, column_step, rows, columns, panels);
}
void widen_of(int dtype, const void* from, int64_t row_step, int64_t column_step, int64_t rows, int64_t columns,
              float* to, int64_t stride) {
  if (dtype == FLOAT32) widen(static_cast<const float*>(from), row_step, column_step, rows, columns, to, stride);
  if (dtype == BFLOAT16) widen(static_cast<const Bfloat16*>(from), row_step, column_step, rows, columns, to, stride);
  if (dtype == FLOAT16) widen(static_cast<const Half*>(from), row_step, column_step, rows, columns, to, stride);
}
void narrow_of(int dtype, const float* rows, int64_t stride, int64_t count, int64_t columns, const float* factors,
               float factor, void* to, int64_t step) {
  if (dtype == FLOAT32) narrow(rows, stride, count, columns, factors, factor, static_cast<float*>(to), step);
  if (dtype == BFLOAT16) narrow(rows, stride, count, columns, factors, factor, static_cast<Bfloat16*>(to), step);
  if (dtype == FLOAT16) narrow(rows, stride, count, columns, factors, factor, static_cast<Half*>(to), step);
}

} // namespace

#define DROPKIT_ATTENTION(name) \
  {name, PANEL, pack_of, widen_of, narrow_of, multiply, dots, exponentials, slopes}
