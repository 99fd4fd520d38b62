// From a key to keep bits and to normal variates; included once by each instruction set's translation unit.
#pragma once

#include "philox.h"

namespace {

using namespace dropkit;

// Groups whose block numbers share their upper word: 2^32 blocks.
constexpr uint64_t EPOCH = uint64_t{1} << 28;

inline uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }

// The 16-bit number of one element in another domain: what decides a tie.
inline uint32_t half_of(const Key& key, uint64_t index, Domain domain) {
  uint32_t words[4];
  philox_block(key, (index >> 7) * 16 + (index & 15), domain, words);
  return (words[(index >> 4) & 3] >> (16 * ((index >> 6) & 1))) & 0xFFFF;
}

// Where the first 16 bits equal the threshold's, 16 more decide: one element in 65,536.
__attribute__((noinline, cold)) void settle_ties(const Key& key, uint64_t group, uint32_t upper, uint32_t lower,
                                                 uint16_t* out) {
  const Schedule schedule(key, high(group * 16) | PRIMARY);
  Lanes words[4];
  uint32_t w[4][16];
  philox_group(schedule, low(group * 16), words);
  for (int word = 0; word < 4; ++word) store_words(words[word], w[word]);
  for (unsigned i = 0; i < GROUP; ++i) {
    const uint32_t number = (w[(i >> 4) & 3][i & 15] >> (16 * (i >> 6))) & 0xFFFF;
    if (number == upper && half_of(key, group * GROUP + i, TIE) >= lower)
      out[i >> 4] = static_cast<uint16_t>(out[i >> 4] | (1u << (i & 15)));
  }
}

// The bits of a group from its four words, for one threshold.
struct Threshold {
  uint32_t upper, lower;
  Comparer more;

  // Kept: above `upper`; or equal to it and the next 16 bits not below `lower`, which 0 always grants.
  explicit Threshold(uint32_t threshold)
      : upper(threshold >> 16), lower(threshold & 0xFFFF),
        more(static_cast<uint16_t>(upper - (lower == 0)), static_cast<uint16_t>(upper)) {}

  inline __attribute__((always_inline)) void group_bits(const Key& key, const Schedule& schedule, uint64_t group,
                                                        uint16_t* bits) const {
    Lanes words[4];
    philox_group(schedule, low(group * 16), words);
    if (__builtin_expect(more(words, bits) && lower != 0, 0)) settle_ties(key, group, upper, lower, bits);
  }
};

void keep_bits(const Key& key, uint64_t start, int64_t count, uint32_t threshold, uint64_t* out) {
  if (count <= 0) return;
  const Threshold limit(threshold);
  const uint64_t first = start / GROUP, last = (start + static_cast<uint64_t>(count) + GROUP - 1) / GROUP;
  for (uint64_t group = first; group < last;) {
    const Schedule schedule(key, high(group * 16) | PRIMARY);
    const uint64_t stop = least(last, (group / EPOCH + 1) * EPOCH);
    for (; group < stop; ++group)
      limit.group_bits(key, schedule, group, reinterpret_cast<uint16_t*>(out + 2 * (group - first)));
  }
  const unsigned shift = start % GROUP;
  if (shift == 0) return;
  const int64_t skip = shift / 64, needed = (count + 63) / 64, have = static_cast<int64_t>(2 * (last - first));
  const unsigned by = shift % 64;
  for (int64_t i = 0; i < needed; ++i) {
    const uint64_t next = i + skip + 1 < have ? out[i + skip + 1] : 0;
    out[i] = by == 0 ? out[i + skip] : (out[i + skip] >> by) | (next << (64 - by));
  }
}

// Natural logarithm of a normal number in (0, 1): fdlibm's polynomial, error below 1 ulp.
inline double logarithm(double x) {
  uint64_t u;
  __builtin_memcpy(&u, &x, 8);
  u += 0x3FF0000000000000 - 0x3FE6A09E00000000; // mantissa into [sqrt(1/2), sqrt(2))
  const int32_t exponent = static_cast<int32_t>(u >> 52) - 1023;
  u = (u & 0x000FFFFFFFFFFFFF) + 0x3FE6A09E00000000;
  double m;
  __builtin_memcpy(&m, &u, 8);
  const double f = m - 1.0, s = f / (2.0 + f), z = s * s, w = z * z;
  const double t1 = w * (3.999999999940941908e-01 + w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01));
  const double t2 = z * (6.666666666666735130e-01 +
                         w * (2.857142874366239149e-01 + w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01)));
  const double half_square = 0.5 * f * f, k = exponent;
  return k * 6.93147180369123816490e-01 -
         ((half_square - (s * (half_square + (t1 + t2)) + k * 1.90821492927058770002e-10)) - f);
}

// Cosine and sine of word / 2^32 turns: exact reduction to an eighth of a turn, then fdlibm's polynomials.
inline void cosine_sine(uint32_t word, double& cosine, double& sine) {
  const uint32_t quarter = (word + 0x20000000u) >> 30;
  const double x = static_cast<double>(static_cast<int32_t>(word - (quarter << 30))) * 1.4629180792671596e-09;
  const double z = x * x;
  const double s = x + x * z * (-1.66666666666666324348e-01 +
                                z * (8.33333333332248946124e-03 +
                                     z * (-1.98412698298579493134e-04 +
                                          z * (2.75573137070700676789e-06 +
                                               z * (-2.50507602534068634195e-08 + z * 1.58969099521155010221e-10)))));
  const double c = 1.0 - (0.5 * z - z * z *
                                        (4.16666666666666019037e-02 +
                                         z * (-1.38888888888741095749e-03 +
                                              z * (2.48015872894767294178e-05 +
                                                   z * (-2.75573143513906633035e-07 +
                                                        z * (2.08757232129817482790e-09 + z * -1.13596475577881948265e-11))))));
  const bool swapped = (quarter & 1) != 0;
  const double a = swapped ? s : c, b = swapped ? c : s;
  cosine = ((quarter + 1) & 2) != 0 ? -a : a;
  sine = (quarter & 2) != 0 ? -b : b;
}

// The standard normal variates of the 64 elements of a group; every step as in random/elementary.py.
void normal_group(const Schedule& schedule, uint64_t group, double out[NORMAL_GROUP]) {
  Lanes words[4];
  uint32_t w[4][16];
  philox_group(schedule, low(group * 16), words);
  for (int word = 0; word < 4; ++word) store_words(words[word], w[word]);
  for (int pair = 0; pair < 2; ++pair) {
    double radius[16], cosine[16], sine[16];
    for (int i = 0; i < 16; ++i) {
      const uint32_t v = w[2 * pair][i];
      // exact in double; by halves, since vector units convert signed words
      const double wide = static_cast<double>(static_cast<int32_t>(v >> 1)) * 2.0 + static_cast<double>(static_cast<int32_t>(v & 1));
      radius[i] = __builtin_sqrt(-2.0 * logarithm((wide + 0.5) * 0x1p-32));
    }
    for (int i = 0; i < 16; ++i) cosine_sine(w[2 * pair + 1][i], cosine[i], sine[i]);
    for (int i = 0; i < 16; ++i) out[32 * pair + i] = radius[i] * cosine[i];
    for (int i = 0; i < 16; ++i) out[32 * pair + 16 + i] = radius[i] * sine[i];
  }
}

} // namespace
