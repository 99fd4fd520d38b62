// 16 lanes with AVX2 and F16C.
#pragma once

#include <immintrin.h>

#include "kernels.h"

namespace {

// 16 words of 32 bits, each in the lower half of a 64-bit lane: blocks 0 2 4 6, 1 3 5 7, 8 10 12 14, 9 11 13 15.
// The upper halves hold rubbish, which no multiplication reads.
struct Lanes {
  __m256i v[4];
};

inline Lanes same(uint32_t value) {
  const __m256i v = _mm256_set1_epi64x(value);
  return {{v, v, v, v}};
}
inline Lanes first16(uint32_t base) {
  const __m256i v = _mm256_set1_epi64x(base);
  return {{_mm256_add_epi64(v, _mm256_setr_epi64x(0, 2, 4, 6)), _mm256_add_epi64(v, _mm256_setr_epi64x(1, 3, 5, 7)),
           _mm256_add_epi64(v, _mm256_setr_epi64x(8, 10, 12, 14)),
           _mm256_add_epi64(v, _mm256_setr_epi64x(9, 11, 13, 15))}};
}
inline __attribute__((always_inline)) void multiply(Lanes a, uint32_t m, Lanes& high, Lanes& low) {
  const __m256i mv = _mm256_set1_epi64x(m);
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    low.v[i] = _mm256_mul_epu32(a.v[i], mv);
    high.v[i] = _mm256_srli_epi64(low.v[i], 32);
  }
}
inline __attribute__((always_inline)) Lanes exclusive_or(Lanes a, Lanes b) {
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) a.v[i] = _mm256_xor_si256(a.v[i], b.v[i]);
  return a;
}
inline __attribute__((always_inline)) Lanes exclusive_or(Lanes a, Lanes b, Lanes c) {
  return exclusive_or(a, exclusive_or(b, c));
}
inline __m256i in_order(Lanes a, int half) {
  return _mm256_blend_epi32(a.v[2 * half], _mm256_slli_epi64(a.v[2 * half + 1], 32), 0xAA);
}
inline void store_words(Lanes a, uint32_t* out) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), in_order(a, 0));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + 8), in_order(a, 1));
}

// Compares 16-bit halves of four words of 16 blocks with one number.
struct Comparer {
  __m256i flip, limit, equal;

  explicit Comparer(uint16_t more_than, uint16_t tie)
      : flip(_mm256_set1_epi16(static_cast<short>(0x8000))), // there is no unsigned comparison
        limit(_mm256_set1_epi16(static_cast<short>(more_than ^ 0x8000))),
        equal(_mm256_set1_epi16(static_cast<short>(tie))) {}

  // Writes "half > more_than" as bits, half 0 of words 0..3 first; returns whether any half equals `tie`.
  inline __attribute__((always_inline)) bool operator()(const Lanes words[4], uint16_t* out) const {
    __m256i ties = _mm256_setzero_si256();
#pragma GCC unroll 4
    for (int word = 0; word < 4; ++word) {
      unsigned lower = 0, upper = 0;
#pragma GCC unroll 2
      for (int half = 0; half < 2; ++half) {
        const __m256i w = in_order(words[word], half);
        const __m256i more = _mm256_cmpgt_epi16(_mm256_xor_si256(w, flip), limit);
        ties = _mm256_or_si256(ties, _mm256_cmpeq_epi16(w, equal));
        upper |= static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(more))) << (8 * half);
        lower |= static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_slli_epi32(more, 16))))
                 << (8 * half);
      }
      out[word] = static_cast<uint16_t>(lower);
      out[4 + word] = static_cast<uint16_t>(upper);
    }
    return !_mm256_testz_si256(ties, ties);
  }
};

// 16 numbers of the working precision, and their keep bits.
struct Mask {
  uint16_t bits;
};
inline Mask mask_at(const uint16_t* bits) { return {*bits}; }

inline __m256 spread8(unsigned bits) { // bit i -> all of lane i
  const __m256i one = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  return _mm256_castsi256_ps(
      _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(static_cast<int>(bits)), one), one));
}
inline __m256d spread4(unsigned bits) {
  const __m256i one = _mm256_setr_epi64x(1, 2, 4, 8);
  return _mm256_castsi256_pd(_mm256_cmpeq_epi64(_mm256_and_si256(_mm256_set1_epi64x(bits), one), one));
}

struct Float {
  __m256 v[2];
};
inline Float operator*(Float a, Float b) {
  return {{_mm256_mul_ps(a.v[0], b.v[0]), _mm256_mul_ps(a.v[1], b.v[1])}};
}
inline Float operator+(Float a, Float b) {
  return {{_mm256_add_ps(a.v[0], b.v[0]), _mm256_add_ps(a.v[1], b.v[1])}};
}
inline Float choose(Mask k, Float a, Float b) {
  return {{_mm256_blendv_ps(b.v[0], a.v[0], spread8(k.bits)), _mm256_blendv_ps(b.v[1], a.v[1], spread8(k.bits >> 8))}};
}
inline Float kept_product(Mask k, Float a, Float b) {
  return {{_mm256_and_ps(_mm256_mul_ps(a.v[0], b.v[0]), spread8(k.bits)),
           _mm256_and_ps(_mm256_mul_ps(a.v[1], b.v[1]), spread8(k.bits >> 8))}};
}
inline Mask at_most_zero(Float a) {
  const __m256 zero = _mm256_setzero_ps();
  return {static_cast<uint16_t>(_mm256_movemask_ps(_mm256_cmp_ps(a.v[0], zero, _CMP_LE_OQ)) |
                                (_mm256_movemask_ps(_mm256_cmp_ps(a.v[1], zero, _CMP_LE_OQ)) << 8))};
}
inline void fill(Float& out, double value) { out.v[0] = out.v[1] = _mm256_set1_ps(static_cast<float>(value)); }

struct Double {
  __m256d v[4];
};
inline __attribute__((always_inline)) Double operator*(Double a, Double b) {
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) a.v[i] = _mm256_mul_pd(a.v[i], b.v[i]);
  return a;
}
inline __attribute__((always_inline)) Double operator+(Double a, Double b) {
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) a.v[i] = _mm256_add_pd(a.v[i], b.v[i]);
  return a;
}
inline __attribute__((always_inline)) Double choose(Mask k, Double a, Double b) {
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) a.v[i] = _mm256_blendv_pd(b.v[i], a.v[i], spread4(k.bits >> (4 * i)));
  return a;
}
inline __attribute__((always_inline)) Double kept_product(Mask k, Double a, Double b) {
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) a.v[i] = _mm256_and_pd(_mm256_mul_pd(a.v[i], b.v[i]), spread4(k.bits >> (4 * i)));
  return a;
}
inline __attribute__((always_inline)) Mask at_most_zero(Double a) {
  unsigned bits = 0;
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i)
    bits |= static_cast<unsigned>(_mm256_movemask_pd(_mm256_cmp_pd(a.v[i], _mm256_setzero_pd(), _CMP_LE_OQ))) << (4 * i);
  return {static_cast<uint16_t>(bits)};
}
inline void fill(Double& out, double value) {
  for (int i = 0; i < 4; ++i) out.v[i] = _mm256_set1_pd(value);
}

struct Bfloat16 {
  uint16_t bits;
};
struct Half {
  uint16_t bits;
};
inline void load(const float* p, Float& out) { out.v[0] = _mm256_loadu_ps(p), out.v[1] = _mm256_loadu_ps(p + 8); }
inline void store(float* p, Float a) { _mm256_storeu_ps(p, a.v[0]), _mm256_storeu_ps(p + 8, a.v[1]); }
inline __attribute__((always_inline)) void load(const double* p, Double& out) {
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) out.v[i] = _mm256_loadu_pd(p + 4 * i);
}
inline __attribute__((always_inline)) void store(double* p, Double a) {
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) _mm256_storeu_pd(p + 4 * i, a.v[i]);
}
inline void load(const Bfloat16* p, Float& out) {
  for (int i = 0; i < 2; ++i) {
    const __m128i raw = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8 * i));
    out.v[i] = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(raw), 16));
  }
}
inline __m256i rounded_bfloat16(__m256 a) { // round to nearest even
  const __m256i u = _mm256_castps_si256(a);
  const __m256i even = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
  const __m256i r = _mm256_srli_epi32(_mm256_add_epi32(u, _mm256_add_epi32(even, _mm256_set1_epi32(0x7FFF))), 16);
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(a, a, _CMP_UNORD_Q));
  return _mm256_blendv_epi8(r, _mm256_set1_epi32(0x7FC0), nan);
}
inline void store(Bfloat16* p, Float a) {
  const __m256i packed = _mm256_packus_epi32(rounded_bfloat16(a.v[0]), rounded_bfloat16(a.v[1]));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permute4x64_epi64(packed, 0xD8));
}
inline void load(const Half* p, Float& out) {
  for (int i = 0; i < 2; ++i)
    out.v[i] = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8 * i)));
}
inline void store(Half* p, Float a) {
  for (int i = 0; i < 2; ++i)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 8 * i), _mm256_cvtps_ph(a.v[i], _MM_FROUND_TO_NEAREST_INT));
}

} // namespace
