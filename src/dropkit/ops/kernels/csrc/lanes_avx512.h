// 16 lanes with AVX-512 (F, BW, DQ, VL).
#pragma once

#include <immintrin.h>

#include "kernels.h"

namespace {

// 16 words of 32 bits, each in the lower half of a 64-bit lane, blocks 0, 2, 4 ... and 1, 3, 5 ...; the upper
// halves hold rubbish, which no multiplication reads.
struct Lanes {
  __m512i even, odd;
};

inline Lanes same(uint32_t value) {
  const __m512i v = _mm512_set1_epi64(value);
  return {v, v};
}
inline Lanes first16(uint32_t base) {
  const __m512i v = _mm512_set1_epi64(base);
  return {_mm512_add_epi64(v, _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14)),
          _mm512_add_epi64(v, _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15))};
}
inline __attribute__((always_inline)) void multiply(Lanes a, uint32_t m, Lanes& high, Lanes& low) {
  const __m512i mv = _mm512_set1_epi64(m);
  low = {_mm512_mul_epu32(a.even, mv), _mm512_mul_epu32(a.odd, mv)};
  high = {_mm512_srli_epi64(low.even, 32), _mm512_srli_epi64(low.odd, 32)};
}
inline Lanes exclusive_or(Lanes a, Lanes b) {
  return {_mm512_xor_si512(a.even, b.even), _mm512_xor_si512(a.odd, b.odd)};
}
inline Lanes exclusive_or(Lanes a, Lanes b, Lanes c) {
  return {_mm512_ternarylogic_epi64(a.even, b.even, c.even, 0x96),
          _mm512_ternarylogic_epi64(a.odd, b.odd, c.odd, 0x96)};
}
inline void store_words(Lanes a, uint32_t* out) {
  _mm512_storeu_si512(out, _mm512_mask_shuffle_epi32(a.even, 0xAAAA, a.odd, _MM_PERM_CCAA));
}

// Compares 16-bit halves of four words of 16 blocks with one number.
struct Comparer {
  __m512i limit, equal, order;

  explicit Comparer(uint16_t more_than, uint16_t tie)
      : limit(_mm512_set1_epi16(static_cast<short>(more_than))), equal(_mm512_set1_epi16(static_cast<short>(tie))) {
    // half 0 of blocks 0..15, then half 1: each 64-bit lane holds both halves of one block, and rubbish
    uint16_t index[32];
    for (int i = 0; i < 32; ++i)
      index[i] = static_cast<uint16_t>((i % 2 ? 32 : 0) + i % 16 / 2 * 4 + i / 16);
    order = _mm512_loadu_si512(index);
  }

  // Writes "half > more_than" as bits, half 0 of words 0..3 first; returns whether any half equals `tie`.
  inline __attribute__((always_inline)) bool operator()(const Lanes words[4], uint16_t* out) const {
    __mmask32 ties = 0;
#pragma GCC unroll 4
    for (int word = 0; word < 4; ++word) {
      const __m512i halves = _mm512_permutex2var_epi16(words[word].even, order, words[word].odd);
      ties = _kor_mask32(ties, _mm512_cmpeq_epi16_mask(halves, equal));
      const uint32_t more = _cvtmask32_u32(_mm512_cmpgt_epu16_mask(halves, limit));
      out[word] = static_cast<uint16_t>(more);
      out[4 + word] = static_cast<uint16_t>(more >> 16);
    }
    return !_kortestz_mask32_u8(ties, ties);
  }
};

// 16 numbers of the working precision, and their keep bits.
using Mask = __mmask16;
inline Mask mask_at(const uint16_t* bits) { return _load_mask16(reinterpret_cast<__mmask16*>(const_cast<uint16_t*>(bits))); }

struct Float {
  __m512 v;
};
inline Float operator*(Float a, Float b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline Float operator+(Float a, Float b) { return {_mm512_add_ps(a.v, b.v)}; }
inline Float choose(Mask k, Float a, Float b) { return {_mm512_mask_blend_ps(k, b.v, a.v)}; }
inline Float kept_product(Mask k, Float a, Float b) { return {_mm512_maskz_mul_ps(k, a.v, b.v)}; }
inline Mask at_most_zero(Float a) { return _mm512_cmp_ps_mask(a.v, _mm512_setzero_ps(), _CMP_LE_OQ); }
inline void fill(Float& out, double value) { out.v = _mm512_set1_ps(static_cast<float>(value)); }

struct Double {
  __m512d v[2];
};
inline Double operator*(Double a, Double b) {
  return {{_mm512_mul_pd(a.v[0], b.v[0]), _mm512_mul_pd(a.v[1], b.v[1])}};
}
inline Double operator+(Double a, Double b) {
  return {{_mm512_add_pd(a.v[0], b.v[0]), _mm512_add_pd(a.v[1], b.v[1])}};
}
inline Double choose(Mask k, Double a, Double b) {
  return {{_mm512_mask_blend_pd(static_cast<__mmask8>(k), b.v[0], a.v[0]),
           _mm512_mask_blend_pd(static_cast<__mmask8>(k >> 8), b.v[1], a.v[1])}};
}
inline Double kept_product(Mask k, Double a, Double b) {
  return {{_mm512_maskz_mul_pd(static_cast<__mmask8>(k), a.v[0], b.v[0]),
           _mm512_maskz_mul_pd(static_cast<__mmask8>(k >> 8), a.v[1], b.v[1])}};
}
inline Mask at_most_zero(Double a) {
  const __m512d zero = _mm512_setzero_pd();
  return static_cast<Mask>(_mm512_cmp_pd_mask(a.v[0], zero, _CMP_LE_OQ) |
                           (_mm512_cmp_pd_mask(a.v[1], zero, _CMP_LE_OQ) << 8));
}
inline void fill(Double& out, double value) { out.v[0] = out.v[1] = _mm512_set1_pd(value); }

struct Bfloat16 {
  uint16_t bits;
};
struct Half {
  uint16_t bits;
};
inline void load(const float* p, Float& out) { out.v = _mm512_loadu_ps(p); }
inline void store(float* p, Float a) { _mm512_storeu_ps(p, a.v); }
inline void load(const double* p, Double& out) { out.v[0] = _mm512_loadu_pd(p), out.v[1] = _mm512_loadu_pd(p + 8); }
inline void store(double* p, Double a) { _mm512_storeu_pd(p, a.v[0]), _mm512_storeu_pd(p + 8, a.v[1]); }
inline void load(const Bfloat16* p, Float& out) {
  const __m256i raw = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  out.v = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(raw), 16));
}
inline void store(Bfloat16* p, Float a) { // round to nearest even; the instruction for it flushes subnormals
  const __m512i u = _mm512_castps_si512(a.v);
  const __m512i even = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
  __m512i r = _mm512_add_epi32(u, _mm512_add_epi32(even, _mm512_set1_epi32(0x7FFF)));
  r = _mm512_srli_epi32(r, 16);
  r = _mm512_mask_mov_epi32(r, _mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q), _mm512_set1_epi32(0x7FC0));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(r));
}
inline void load(const Half* p, Float& out) {
  out.v = _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
inline void store(Half* p, Float a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(a.v, _MM_FROUND_TO_NEAREST_INT));
}

} // namespace
