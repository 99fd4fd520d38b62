// Activations and their slopes for inputs of fp32 and narrower: computed in fp64 to a relative 1e-10 (slopes:
// absolute), tails included, so that rounding to fp32 is all that shows, wherever in a tensor an element stands.
// Without branches, so that loops become vectors.
#pragma once

#include "kernels.h"

namespace {

using namespace dropkit;

// Where the processor rounds product and sum at once, which here only makes results better.
inline __attribute__((always_inline)) double multiply_add(double a, double b, double c) {
#ifdef __FMA__
  return __builtin_fma(a, b, c);
#else
  return a * b + c;
#endif
}

// Coefficients from the constant term on.
template <int n> inline __attribute__((always_inline)) double polynomial(const double (&c)[n], double x) {
  double sum = c[n - 1];
#pragma GCC unroll 16
  for (int i = n - 2; i >= 0; --i) sum = multiply_add(sum, x, c[i]);
  return sum;
}

// Minimax on [-log(2) / 2, log(2) / 2], error 4e-11.
constexpr double EXP_EVEN[] = {0.9999999999595294, 0.5000000107793876, 0.041666218139710595, 0.0013948590286863383};
constexpr double EXP_ODD[] = {0.9999999999955055, 0.1666666678638044, 0.008333283518768105, 0.00019907582591325134};

// e to the power x; 0 below -708.7 and infinite above 709.4.
inline __attribute__((always_inline)) double exponential(double x) {
  x = x < -709.2 ? -709.2 : x;
  x = x > 709.6 ? 709.6 : x;
  const double shifted = multiply_add(x, 1.4426950408889634, 0x1.8p52); // its lowest bits: how often to double
  const double k = shifted - 0x1.8p52, r = multiply_add(k, -0.6931471805599453, x), z = r * r;
  uint64_t bits;
  __builtin_memcpy(&bits, &shifted, 8);
  bits = (bits + 1023) << 52;
  double power;
  __builtin_memcpy(&power, &bits, 8);
  return multiply_add(r, polynomial(EXP_ODD, z), polynomial(EXP_EVEN, z)) * power;
}

// The upper tail of the normal law over exp(-a * a / 2), times a + 4, is smooth in 1 / (a + 4): minimax for a in
// [0, 15], error 3e-11.
constexpr double TAIL_EVEN[] = {0.9022836424674258,    0.3250901968072917,     0.025451290364685797, -0.0013421796137966934,
                                7.786700502204519e-05, -6.139709570947107e-06, 4.681831874278949e-07};
constexpr double TAIL_ODD[] = {0.6300167420922989,      0.11807693405627427,   0.0005373271311743226,
                               -0.00020272819599534308, 1.766008953005928e-05, -1.0806809120684948e-06};

// The standard normal's distribution function and density at x.
inline __attribute__((always_inline)) void normal_law(double x, double& below, double& density) {
  double a = x < 0.0 ? -x : x;
  const double e = exponential(-0.5 * (x * x)); // x has 24 bits, so its square is exact
  a = a > 15.0 ? 15.0 : a;                      // beyond, e alone makes every product zero in fp32
  const double w = 1.0 / (a + 4.0), q = multiply_add(w, 10.133333333333333, -1.5333333333333334), z = q * q;
  const double tail = e * (w * multiply_add(q, polynomial(TAIL_ODD, z), polynomial(TAIL_EVEN, z)));
  below = x < 0.0 ? tail : 1.0 - tail;
  density = e * 0.3989422804014327;
}

inline __attribute__((always_inline)) double logistic(double x) { return 1.0 / (1.0 + exponential(-x)); }

// Twice the argument of the hyperbolic tangent in the approximation of Hendrycks and Gimpel: x * (LINEAR + CUBIC x^2).
constexpr double LINEAR = 1.5957691216057308, CUBIC = 0.044715 * LINEAR;

template <int activation> inline __attribute__((always_inline)) double value(double x) {
  if constexpr (activation == GELU) {
    double below, density;
    normal_law(x, below, density);
    return x * below;
  }
  if constexpr (activation == GELU_TANH) return x * logistic(x * multiply_add(CUBIC, x * x, LINEAR));
  if constexpr (activation == SILU) return x * logistic(x);
}

template <int activation> inline __attribute__((always_inline)) double slope(double x) {
  if constexpr (activation == GELU) {
    double below, density;
    normal_law(x, below, density);
    return multiply_add(x, density, below);
  }
  if constexpr (activation == GELU_TANH) {
    const double square = x * x, s = logistic(x * multiply_add(CUBIC, square, LINEAR));
    return s + x * (s * (1.0 - s)) * multiply_add(3.0 * CUBIC, square, LINEAR);
  }
  if constexpr (activation == SILU) {
    const double s = logistic(x);
    return s + x * (s * (1.0 - s));
  }
}

} // namespace
