// The arithmetic of every form on a run of elements; included once by each instruction set's translation unit.
#pragma once

#include "activation.h"
#include "generate.h"

namespace {

template <class T> struct Wide;
template <> struct Wide<float> {
  using type = Float;
};
template <> struct Wide<double> {
  using type = Double;
};
template <> struct Wide<Bfloat16> {
  using type = Float;
};
template <> struct Wide<Half> {
  using type = Float;
};

// f(x), and g * f'(x).
template <int activation> inline __attribute__((always_inline)) Float activated(const Float& x) {
  float numbers[16];
  store(numbers, x);
  for (int i = 0; i < 16; ++i) numbers[i] = static_cast<float>(value<activation>(static_cast<double>(numbers[i])));
  Float out;
  load(numbers, out);
  return out;
}
template <int activation> inline __attribute__((always_inline)) Float sloped(const Float& g, const Float& x) {
  float numbers[16], factors[16];
  store(numbers, x), store(factors, g);
  for (int i = 0; i < 16; ++i)
    numbers[i] = static_cast<float>(static_cast<double>(factors[i]) * slope<activation>(static_cast<double>(numbers[i])));
  Float out;
  load(numbers, out);
  return out;
}

template <int form, class V>
inline __attribute__((always_inline)) V combine(Mask keep, const V* operand, const V& s, const V& t, const V& u,
                                                const V& zero) {
  if constexpr (form == SELECT) return kept_product(keep, operand[0], s);
  if constexpr (form == AFFINE) return choose(keep, operand[0] * s + t, u);
  if constexpr (form == RELU) return kept_product(keep, choose(at_most_zero(operand[0]), zero, operand[0]), s);
  if constexpr (form == RELU_GRAD) return choose(at_most_zero(operand[1]), zero, operand[0] * s);
  if constexpr (form == ADD) return kept_product(keep, operand[0], s) + operand[1];
  if constexpr (form == BIAS_ADD) return kept_product(keep, operand[0] + operand[2], s) + operand[1];
  if constexpr (form == GELU || form == GELU_TANH || form == SILU)
    return kept_product(keep, activated<form>(operand[0]), s);
  if constexpr (form == GELU_GRAD || form == GELU_TANH_GRAD || form == SILU_GRAD)
    return choose(keep, sloped<form - 1>(operand[0] * s, operand[1]), zero);
}

// The gradient of relu looks at the output instead of the bits.
template <int form> inline __attribute__((always_inline)) Mask coins(const uint16_t* bits) {
  return form == RELU_GRAD ? Mask{} : mask_at(bits);
}

template <int form, class T> void apply(const Run& run) {
  using V = typename Wide<T>::type;
  constexpr int operands = OPERANDS[form];
  V s, t, u, zero;
  fill(s, run.constants.s), fill(t, run.constants.t), fill(u, run.constants.u), fill(zero, 0.0);
  const uint16_t* bits = reinterpret_cast<const uint16_t*>(run.bits);
  T* out = static_cast<T*>(run.out);
  int64_t i = 0;
  for (; i + 16 <= run.count; i += 16) {
    V operand[operands];
#pragma GCC unroll 3
    for (int k = 0; k < operands; ++k) load(static_cast<const T*>(run.operand[k]) + i, operand[k]);
    store(out + i, combine<form>(coins<form>(bits + i / 16), operand, s, t, u, zero));
  }
  if (i == run.count) return;
  // Fewer than 16 are left: through a small buffer, so that nothing outside the tensors is touched.
  const size_t bytes = static_cast<size_t>(run.count - i) * sizeof(T);
  T buffer[operands][16] = {};
  V operand[operands];
  for (int k = 0; k < operands; ++k) {
    __builtin_memcpy(buffer[k], static_cast<const T*>(run.operand[k]) + i, bytes);
    load(buffer[k], operand[k]);
  }
  store(buffer[0], combine<form>(coins<form>(bits + i / 16), operand, s, t, u, zero));
  __builtin_memcpy(out + i, buffer[0], bytes);
}

constexpr size_t AHEAD = 2048; // bytes

// Whole groups from a group's first element on: bits and arithmetic in turn, so that the arithmetic's memory
// traffic hides behind the generator.
template <int form, class T> void fused(const Key& key, uint64_t start, uint32_t threshold, const Run& run) {
  using V = typename Wide<T>::type;
  constexpr int operands = OPERANDS[form];
  V s, t, u, zero;
  fill(s, run.constants.s), fill(t, run.constants.t), fill(u, run.constants.u), fill(zero, 0.0);
  const Threshold limit(threshold);
  const uint64_t first = start / GROUP, last = first + static_cast<uint64_t>(run.count) / GROUP;
  for (uint64_t group = first; group < last;) {
    const Schedule schedule(key, high(group * 16) | PRIMARY);
    const uint64_t stop = least(last, (group / EPOCH + 1) * EPOCH);
    for (; group < stop; ++group) {
      uint16_t bits[GROUP / 16];
      limit.group_bits(key, schedule, group, bits);
      const int64_t base = static_cast<int64_t>(group - first) * GROUP;
      for (size_t line = 0; line < GROUP * sizeof(T); line += 64) {
        // The generator fills the window in which the processor would look ahead, so ask for the lines ourselves.
        __builtin_prefetch(static_cast<char*>(run.out) + base * sizeof(T) + AHEAD + line, 1);
        for (int k = 0; k < operands; ++k)
          __builtin_prefetch(static_cast<const char*>(run.operand[k]) + base * sizeof(T) + AHEAD + line, 0);
      }
#pragma GCC unroll 8
      for (int64_t i = 0; i < GROUP; i += 16) {
        V operand[operands];
        for (int k = 0; k < operands; ++k) load(static_cast<const T*>(run.operand[k]) + base + i, operand[k]);
        store(static_cast<T*>(run.out) + base + i, combine<form>(coins<form>(bits + i / 16), operand, s, t, u, zero));
      }
    }
  }
}

// x and a variate z make an output: 1 + deviation * z rounded to fp32 and multiplied there, or added in fp64.
template <int noise> inline float perturbed(float x, double z, double deviation) {
  if constexpr (noise == MULTIPLY) return x * static_cast<float>(1.0 + deviation * z);
  return static_cast<float>(static_cast<double>(x) + deviation * z);
}
template <int noise> inline double perturbed(double x, double z, double deviation) {
  return noise == MULTIPLY ? x * (1.0 + deviation * z) : x + deviation * z;
}

// 16 elements or fewer: through a buffer, so that nothing outside the tensors is touched.
template <int noise, class T> void perturb(const double* z, double deviation, int64_t count, const T* a, T* out) {
  T values[16] = {};
  float numbers[16];
  Float x;
  __builtin_memcpy(values, a, static_cast<size_t>(count) * sizeof(T));
  load(values, x);
  store(numbers, x);
  for (int i = 0; i < 16; ++i) numbers[i] = perturbed<noise>(numbers[i], z[i], deviation);
  load(numbers, x);
  store(values, x);
  __builtin_memcpy(out, values, static_cast<size_t>(count) * sizeof(T));
}
template <int noise>
void perturb(const double* z, double deviation, int64_t count, const double* a, double* out) {
  for (int64_t i = 0; i < count; ++i) out[i] = perturbed<noise>(a[i], z[i], deviation);
}

template <int noise, class T>
void gaussian(const Key& key, uint64_t start, int64_t count, double deviation, const void* a, void* out) {
  const uint64_t end = start + static_cast<uint64_t>(count);
  for (uint64_t group = start / NORMAL_GROUP; group * NORMAL_GROUP < end;) {
    const Schedule schedule(key, high(group * 16) | NORMAL);
    const uint64_t stop = (group / EPOCH + 1) * EPOCH;
    for (; group < stop && group * NORMAL_GROUP < end; ++group) {
      double z[NORMAL_GROUP + 16] = {}; // a part of 16 may begin anywhere in the group
      normal_group(schedule, group, z);
      const uint64_t base = group * NORMAL_GROUP;
      const uint64_t from = base < start ? start - base : 0, to = least(end - base, NORMAL_GROUP);
      for (uint64_t i = from; i < to; i += 16) {
        const int64_t at = static_cast<int64_t>(base + i - start), n = static_cast<int64_t>(least(to - i, 16));
        perturb<noise>(z + i, deviation, n, static_cast<const T*>(a) + at, static_cast<T*>(out) + at);
      }
    }
  }
}

} // namespace

#define DROPKIT_DTYPES(function, form) \
  {function<form, float>, function<form, double>, function<form, Bfloat16>, function<form, Half>}
#define DROPKIT_NARROW(function, form) {function<form, float>, nullptr, function<form, Bfloat16>, function<form, Half>}
#define DROPKIT_APPLY                                                                                    \
  {DROPKIT_DTYPES(apply, SELECT),    DROPKIT_DTYPES(apply, AFFINE),    DROPKIT_DTYPES(apply, RELU),      \
   DROPKIT_DTYPES(apply, RELU_GRAD), DROPKIT_DTYPES(apply, ADD),       DROPKIT_DTYPES(apply, BIAS_ADD),  \
   DROPKIT_NARROW(apply, GELU),      DROPKIT_NARROW(apply, GELU_GRAD), DROPKIT_NARROW(apply, GELU_TANH), \
   DROPKIT_NARROW(apply, GELU_TANH_GRAD), DROPKIT_NARROW(apply, SILU), DROPKIT_NARROW(apply, SILU_GRAD)}
#define DROPKIT_FUSED                                                                         \
  {DROPKIT_DTYPES(fused, SELECT), DROPKIT_DTYPES(fused, AFFINE), DROPKIT_DTYPES(fused, RELU), \
   {},                            DROPKIT_DTYPES(fused, ADD),    DROPKIT_DTYPES(fused, BIAS_ADD)}
#define DROPKIT_GAUSSIAN \
  {DROPKIT_DTYPES(gaussian, MULTIPLY), DROPKIT_DTYPES(gaussian, ADD_NOISE)}
