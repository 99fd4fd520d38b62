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

template <class T> void multiply_noise(const float* noise, int64_t count, const T* a, T* out) {
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    Float x, z;
    load(a + i, x), load(noise + i, z);
    store(out + i, x * z);
  }
  if (i == count) return;
  T values[16] = {};
  float factors[16] = {};
  Float x, z;
  __builtin_memcpy(values, a + i, static_cast<size_t>(count - i) * sizeof(T));
  __builtin_memcpy(factors, noise + i, static_cast<size_t>(count - i) * sizeof(float));
  load(values, x), load(factors, z);
  store(values, x * z);
  __builtin_memcpy(out + i, values, static_cast<size_t>(count - i) * sizeof(T));
}

void gaussian(const Key& key, uint64_t start, int64_t count, double deviation, int dtype, const void* a, void* out) {
  float factors[CHUNK];
  for (int64_t i = 0; i < count; i += CHUNK) {
    const int64_t n = count - i < CHUNK ? count - i : CHUNK, offset = i * ITEM_SIZE[dtype];
    noise(key, start + static_cast<uint64_t>(i), n, deviation, factors);
    const void* from = static_cast<const char*>(a) + offset;
    void* to = static_cast<char*>(out) + offset;
    if (dtype == FLOAT32) multiply_noise(factors, n, static_cast<const float*>(from), static_cast<float*>(to));
    if (dtype == BFLOAT16) multiply_noise(factors, n, static_cast<const Bfloat16*>(from), static_cast<Bfloat16*>(to));
    if (dtype == FLOAT16) multiply_noise(factors, n, static_cast<const Half*>(from), static_cast<Half*>(to));
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
