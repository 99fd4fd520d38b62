// 16 lanes in plain C++, for the baseline of any machine (SSE2, NEON): loops that compilers turn into vectors.
#pragma once

#include <string.h>

#include "kernels.h"

namespace {

struct Lanes {
  uint32_t v[16];
};

inline Lanes same(uint32_t value) {
  Lanes a;
  for (int i = 0; i < 16; ++i) a.v[i] = value;
  return a;
}
inline Lanes first16(uint32_t base) {
  Lanes a;
  for (int i = 0; i < 16; ++i) a.v[i] = base + static_cast<uint32_t>(i);
  return a;
}
inline __attribute__((always_inline)) void multiply(const Lanes& a, uint32_t m, Lanes& high, Lanes& low) {
  for (int i = 0; i < 16; ++i) {
    const uint64_t product = uint64_t{a.v[i]} * m;
    high.v[i] = static_cast<uint32_t>(product >> 32);
    low.v[i] = static_cast<uint32_t>(product);
  }
}
inline __attribute__((always_inline)) Lanes exclusive_or(Lanes a, const Lanes& b) {
  for (int i = 0; i < 16; ++i) a.v[i] ^= b.v[i];
  return a;
}
inline __attribute__((always_inline)) Lanes exclusive_or(Lanes a, const Lanes& b, const Lanes& c) {
  for (int i = 0; i < 16; ++i) a.v[i] ^= b.v[i] ^ c.v[i];
  return a;
}
inline void store_words(const Lanes& a, uint32_t* out) { memcpy(out, a.v, sizeof a.v); }

// Compares 16-bit halves of four words of 16 blocks with one number.
struct Comparer {
  uint32_t limit, equal;

  explicit Comparer(uint16_t more_than, uint16_t tie) : limit(more_than), equal(tie) {}

  // Writes "half > more_than" as bits, half 0 of words 0..3 first; returns whether any half equals `tie`.
  inline __attribute__((always_inline)) bool operator()(const Lanes words[4], uint16_t* out) const {
    uint32_t ties = 0;
    for (int word = 0; word < 4; ++word) {
      uint32_t lower = 0, upper = 0;
      for (int i = 0; i < 16; ++i) {
        const uint32_t l = words[word].v[i] & 0xFFFF, u = words[word].v[i] >> 16;
        lower |= static_cast<uint32_t>(l > limit) << i;
        upper |= static_cast<uint32_t>(u > limit) << i;
        ties |= static_cast<uint32_t>(l == equal) | static_cast<uint32_t>(u == equal);
      }
      out[word] = static_cast<uint16_t>(lower);
      out[4 + word] = static_cast<uint16_t>(upper);
    }
    return ties != 0;
  }
};

// 16 numbers of the working precision, and their keep bits.
struct Mask {
  uint16_t bits;
};
inline Mask mask_at(const uint16_t* bits) { return {*bits}; }

template <class T> struct Numbers {
  T v[16];
};
using Float = Numbers<float>;
using Double = Numbers<double>;

template <class T> inline Numbers<T> operator*(Numbers<T> a, const Numbers<T>& b) {
  for (int i = 0; i < 16; ++i) a.v[i] *= b.v[i];
  return a;
}
template <class T> inline Numbers<T> operator+(Numbers<T> a, const Numbers<T>& b) {
  for (int i = 0; i < 16; ++i) a.v[i] += b.v[i];
  return a;
}
// Bit i of `bits` over the whole of lane i, four at a time, which fits any vector unit.
template <class Word> struct Spread {
  Word lane[16][4];
  constexpr Spread() : lane() {
    for (int bits = 0; bits < 16; ++bits)
      for (int i = 0; i < 4; ++i) lane[bits][i] = (bits >> i) & 1 ? ~Word{0} : Word{0};
  }
};
template <class T> struct WordOf;
template <> struct WordOf<float> {
  using type = uint32_t;
};
template <> struct WordOf<double> {
  using type = uint64_t;
};
template <class Word> constexpr Spread<Word> SPREAD;

template <class T> inline __attribute__((always_inline)) Numbers<T> choose(Mask k, Numbers<T> a, const Numbers<T>& b) {
  using Word = typename WordOf<T>::type;
  Word x[16], y[16];
  memcpy(x, a.v, sizeof x);
  memcpy(y, b.v, sizeof y);
  for (int j = 0; j < 4; ++j) {
    const Word* lanes = SPREAD<Word>.lane[(k.bits >> (4 * j)) & 15];
    for (int i = 0; i < 4; ++i) x[4 * j + i] = (x[4 * j + i] & lanes[i]) | (y[4 * j + i] & ~lanes[i]);
  }
  memcpy(a.v, x, sizeof x);
  return a;
}
template <class T>
inline __attribute__((always_inline)) Numbers<T> kept_product(Mask k, const Numbers<T>& a, const Numbers<T>& b) {
  Numbers<T> zero;
  for (int i = 0; i < 16; ++i) zero.v[i] = T{0};
  return choose(k, a * b, zero);
}
template <class T> inline Mask at_most_zero(const Numbers<T>& a) {
  uint32_t bits = 0;
  for (int i = 0; i < 16; ++i) bits |= static_cast<uint32_t>(a.v[i] <= T{0}) << i;
  return {static_cast<uint16_t>(bits)};
}
template <class T> inline void fill(Numbers<T>& out, double value) {
  for (int i = 0; i < 16; ++i) out.v[i] = static_cast<T>(value);
}

struct Bfloat16 {
  uint16_t bits;
};
struct Half {
  uint16_t bits;
};
inline float from_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, 4);
  return value;
}
inline uint32_t to_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  return bits;
}
inline void load(const float* p, Float& out) { memcpy(out.v, p, sizeof out.v); }
inline void store(float* p, const Float& a) { memcpy(p, a.v, sizeof a.v); }
inline void load(const double* p, Double& out) { memcpy(out.v, p, sizeof out.v); }
inline void store(double* p, const Double& a) { memcpy(p, a.v, sizeof a.v); }
inline void load(const Bfloat16* p, Float& out) {
  for (int i = 0; i < 16; ++i) out.v[i] = from_bits(uint32_t{p[i].bits} << 16);
}
inline void store(Bfloat16* p, const Float& a) { // round to nearest even
  for (int i = 0; i < 16; ++i) {
    const uint32_t u = to_bits(a.v[i]);
    const uint32_t rounded = (u + 0x7FFF + ((u >> 16) & 1)) >> 16;
    p[i].bits = static_cast<uint16_t>((u & 0x7FFFFFFF) > 0x7F800000 ? 0x7FC0 : rounded);
  }
}
inline void load(const Half* p, Float& out) {
  for (int i = 0; i < 16; ++i) {
    const uint32_t h = p[i].bits, sign = (h & 0x8000) << 16, body = h & 0x7FFF;
    const uint32_t normal = to_bits(from_bits(body << 13) * 0x1p112f); // exponents and subnormals, exactly
    out.v[i] = from_bits(sign | (body >= 0x7C00 ? (body << 13) | 0x7F800000 : normal));
  }
}
inline void store(Half* p, const Float& a) { // round to nearest even
  for (int i = 0; i < 16; ++i) {
    const uint32_t u = to_bits(a.v[i]), sign = (u >> 16) & 0x8000, body = u & 0x7FFFFFFF;
    // Below the least normal half, adding 0.5 lets the fp32 adder round at the right bit.
    const uint32_t small = to_bits(from_bits(body) + 0.5f) - 0x3F000000;
    const uint32_t rest = (body + 0xC8000FFF + ((body >> 13) & 1)) >> 13;
    uint32_t h = body < 0x38800000 ? small : rest;
    h = body >= 0x477FF000 ? 0x7C00 : h; // 65520 and above round to infinity
    p[i].bits = static_cast<uint16_t>(sign | (body > 0x7F800000 ? 0x7E00 : h));
  }
}

} // namespace
