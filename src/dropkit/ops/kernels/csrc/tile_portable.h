// What attention asks of 16 lanes beyond lanes_portable.h.
#pragma once

#include "lanes_portable.h"

namespace {

// The block of a product that stays in registers, of which there are at least 16 of four numbers; and 16 of its
// numbers, as vectors by name: compilers leave arrays of accumulators in memory.
constexpr int TILE_ROWS = 2, TILE_VECTORS = 1;
using Four = float __attribute__((vector_size(16)));
struct Factor {
  Four v[4];
};
inline void load(const float* p, Factor& out) { memcpy(out.v, p, sizeof out.v); }
inline void store(float* p, const Factor& a) { memcpy(p, a.v, sizeof a.v); }
inline void spread(const float* p, Factor& out) { out.v[0] = out.v[1] = out.v[2] = out.v[3] = Four{*p, *p, *p, *p}; }
inline __attribute__((always_inline)) Factor fused(const Factor& a, const Factor& b, Factor c) {
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) c.v[i] += a.v[i] * b.v[i];
  return c;
}

inline Float operator-(Float a, const Float& b) {
  for (int i = 0; i < 16; ++i) a.v[i] -= b.v[i];
  return a;
}
inline __attribute__((always_inline)) Float fused(const Float& a, const Float& b, Float c) {
  for (int i = 0; i < 16; ++i) c.v[i] += a.v[i] * b.v[i];
  return c;
}
inline Float larger(Float a, const Float& b) {
  for (int i = 0; i < 16; ++i) a.v[i] = a.v[i] > b.v[i] ? a.v[i] : b.v[i];
  return a;
}
inline void spread(const float* p, Float& out) {
  for (int i = 0; i < 16; ++i) out.v[i] = *p;
}
inline float largest(Float a) {
  for (int half = 8; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) a.v[i] = a.v[i] > a.v[i + half] ? a.v[i] : a.v[i + half];
  return a.v[0];
}
inline float sum(Float a) {
  for (int half = 8; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) a.v[i] += a.v[i + half];
  return a.v[0];
}
inline Mask mask_of(uint32_t bits) { return {static_cast<uint16_t>(bits)}; }
inline Float kept(Mask k, const Float& a) {
  Float zero;
  for (int i = 0; i < 16; ++i) zero.v[i] = 0.0f;
  return choose(k, a, zero);
}
// Zero where a is below b, else c; c too where a is NaN.
inline Float zero_below(const Float& a, const Float& b, Float c) {
  for (int i = 0; i < 16; ++i) c.v[i] = a.v[i] < b.v[i] ? 0.0f : c.v[i];
  return c;
}
// n = x rounded to a whole number, and y * 2^n for n in [-126, 127].
inline Float rounded(Float x) {
  constexpr float magic = 12582912.0f; // 1.5 * 2^23: adding it rounds away all that is behind the point
  for (int i = 0; i < 16; ++i) x.v[i] = (x.v[i] + magic) - magic;
  return x;
}
inline Float scaled(Float y, const Float& n) {
  for (int i = 0; i < 16; ++i) {
    const uint32_t exponent = to_bits(n.v[i] + (12582912.0f + 127.0f)); // the whole number in its last bits
    y.v[i] *= from_bits(exponent << 23);
  }
  return y;
}
inline void transpose(Float rows[16]) {
  for (int i = 0; i < 16; ++i)
    for (int j = 0; j < i; ++j) {
      const float other = rows[i].v[j];
      rows[i].v[j] = rows[j].v[i];
      rows[j].v[i] = other;
    }
}

} // namespace
