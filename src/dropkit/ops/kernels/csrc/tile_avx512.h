// What attention asks of 16 lanes beyond lanes_avx512.h.
#pragma once

#include "lanes_avx512.h"

namespace {

// The block of a product that stays in registers, and 16 of its numbers.
constexpr int TILE_ROWS = 8, TILE_VECTORS = 2;
using Factor = Float;

inline Float operator-(Float a, Float b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline Float fused(Float a, Float b, Float c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
inline Float larger(Float a, Float b) { return {_mm512_max_ps(a.v, b.v)}; }
inline void spread(const float* p, Float& out) { out.v = _mm512_set1_ps(*p); }
inline float largest(Float a) { return _mm512_reduce_max_ps(a.v); }
inline float sum(Float a) { return _mm512_reduce_add_ps(a.v); }
inline Mask mask_of(uint32_t bits) { return static_cast<__mmask16>(bits); }
inline Float kept(Mask k, Float a) { return {_mm512_maskz_mov_ps(k, a.v)}; }
// Zero where a is below b, else c; c too where a is NaN.
inline Float zero_below(Float a, Float b, Float c) {
  return {_mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a.v, b.v, _CMP_NLT_UQ), c.v)};
}
// n = x rounded to a whole number, and y * 2^n.
inline Float rounded(Float x) { return {_mm512_roundscale_ps(x.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
inline Float scaled(Float y, Float n) { return {_mm512_scalef_ps(y.v, n.v)}; }

inline __attribute__((always_inline)) void transpose(Float rows[16]) {
  __m512 r[16], t[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) r[i] = rows[i].v;
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
  }
  const auto low = [](__m512 a, __m512 b) {
    return _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
  };
  const auto high = [](__m512 a, __m512 b) {
    return _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
  };
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    r[i] = low(t[i], t[i + 2]), r[i + 1] = high(t[i], t[i + 2]);
    r[i + 2] = low(t[i + 1], t[i + 3]), r[i + 3] = high(t[i + 1], t[i + 3]);
  }
  // r[4 i + j] has, in quarter l, column 4 l + j of rows 4 i ... 4 i + 3
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    const __m512 a = _mm512_shuffle_f32x4(r[j], r[4 + j], 0x88), b = _mm512_shuffle_f32x4(r[j], r[4 + j], 0xDD);
    const __m512 c = _mm512_shuffle_f32x4(r[8 + j], r[12 + j], 0x88), d = _mm512_shuffle_f32x4(r[8 + j], r[12 + j], 0xDD);
    rows[j].v = _mm512_shuffle_f32x4(a, c, 0x88);
    rows[4 + j].v = _mm512_shuffle_f32x4(b, d, 0x88);
    rows[8 + j].v = _mm512_shuffle_f32x4(a, c, 0xDD);
    rows[12 + j].v = _mm512_shuffle_f32x4(b, d, 0xDD);
  }
}

} // namespace
