// What attention asks of 16 lanes beyond lanes_avx2.h, with fused multiply-add.
#pragma once

#include "lanes_avx2.h"

namespace {

// The block of a product that stays in registers, and 16 of its numbers.
constexpr int TILE_ROWS = 6, TILE_VECTORS = 1;
using Factor = Float;

inline Float operator-(Float a, Float b) { return {{_mm256_sub_ps(a.v[0], b.v[0]), _mm256_sub_ps(a.v[1], b.v[1])}}; }
inline Float fused(Float a, Float b, Float c) {
  return {{_mm256_fmadd_ps(a.v[0], b.v[0], c.v[0]), _mm256_fmadd_ps(a.v[1], b.v[1], c.v[1])}};
}
inline Float larger(Float a, Float b) { return {{_mm256_max_ps(a.v[0], b.v[0]), _mm256_max_ps(a.v[1], b.v[1])}}; }
inline void spread(const float* p, Float& out) { out.v[0] = out.v[1] = _mm256_broadcast_ss(p); }
inline float largest(Float a) {
  const __m256 b = _mm256_max_ps(a.v[0], a.v[1]);
  __m128 c = _mm_max_ps(_mm256_castps256_ps128(b), _mm256_extractf128_ps(b, 1));
  c = _mm_max_ps(c, _mm_movehl_ps(c, c));
  return _mm_cvtss_f32(_mm_max_ss(c, _mm_movehdup_ps(c)));
}
inline float sum(Float a) {
  const __m256 b = _mm256_add_ps(a.v[0], a.v[1]);
  __m128 c = _mm_add_ps(_mm256_castps256_ps128(b), _mm256_extractf128_ps(b, 1));
  c = _mm_add_ps(c, _mm_movehl_ps(c, c));
  return _mm_cvtss_f32(_mm_add_ss(c, _mm_movehdup_ps(c)));
}
inline Mask mask_of(uint32_t bits) { return {static_cast<uint16_t>(bits)}; }
inline Float kept(Mask k, Float a) {
  return {{_mm256_and_ps(a.v[0], spread8(k.bits)), _mm256_and_ps(a.v[1], spread8(k.bits >> 8))}};
}
// Zero where a is below b, else c; c too where a is NaN.
inline Float zero_below(Float a, Float b, Float c) {
  return {{_mm256_and_ps(_mm256_cmp_ps(a.v[0], b.v[0], _CMP_NLT_UQ), c.v[0]),
           _mm256_and_ps(_mm256_cmp_ps(a.v[1], b.v[1], _CMP_NLT_UQ), c.v[1])}};
}
// n = x rounded to a whole number, and y * 2^n for n in [-126, 127].
inline Float rounded(Float x) {
  constexpr int mode = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  return {{_mm256_round_ps(x.v[0], mode), _mm256_round_ps(x.v[1], mode)}};
}
inline __m256 power_of_two(__m256 n) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23));
}
inline Float scaled(Float y, Float n) { return y * Float{{power_of_two(n.v[0]), power_of_two(n.v[1])}}; }

inline __attribute__((always_inline)) void transpose8(__m256 r[8]) {
  __m256 t[8];
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
  }
#pragma GCC unroll 2
  for (int i = 0; i < 8; i += 4) {
    r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44), r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xEE);
    r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44), r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xEE);
  }
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    t[j] = _mm256_permute2f128_ps(r[j], r[4 + j], 0x20);
    t[4 + j] = _mm256_permute2f128_ps(r[j], r[4 + j], 0x31);
  }
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) r[i] = t[i];
}
inline void transpose(Float rows[16]) {
  for (int upper = 0; upper < 2; ++upper)
    for (int right = upper; right < 2; ++right) {
      __m256 a[8], b[8];
      for (int i = 0; i < 8; ++i) a[i] = rows[8 * upper + i].v[right], b[i] = rows[8 * right + i].v[upper];
      transpose8(a), transpose8(b);
      for (int i = 0; i < 8; ++i) rows[8 * right + i].v[upper] = a[i], rows[8 * upper + i].v[right] = b[i];
    }
}

} // namespace
