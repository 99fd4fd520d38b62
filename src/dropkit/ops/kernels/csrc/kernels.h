// What the kernels of one instruction set offer, and the plain data they are given.
// Only C headers here: the files compiled with wider instruction sets must not emit shared C++ library code.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace dropkit {

constexpr int64_t GROUP = 128;       // elements that share 16 Philox blocks, 16 bits each (random/layout.py)
constexpr int64_t NORMAL_GROUP = 64; // the same for normal variates, 32 bits each
constexpr int64_t CHUNK = 4096;      // elements that are worked on at once: bits and data stay in the first cache
constexpr int64_t CHUNK_WORDS = CHUNK / 64 + 2 + 2; // 64-bit words of a chunk's bits, with a partial group

enum Dtype : int { FLOAT32 = 0, FLOAT64 = 1, BFLOAT16 = 2, FLOAT16 = 3, DTYPES = 4 };
constexpr int64_t ITEM_SIZE[DTYPES] = {4, 8, 2, 2};

// How an output element comes from its bit, its operands a, b, c and the constants s, t, u. Arithmetic is in
// fp32 (fp64 for fp64), every step rounded there, and one final rounding to the dtype.
enum Form : int {
  SELECT = 0,    // keep ? a * s : 0
  AFFINE = 1,    // keep ? a * s + t : u
  RELU = 2,      // keep ? max(a, 0) * s : 0
  RELU_GRAD = 3, // b <= 0 ? 0 : a * s      (b: the output of RELU; no bits needed)
  ADD = 4,       // (keep ? a * s : 0) + b
  BIAS_ADD = 5,  // (keep ? (a + c) * s : 0) + b
  // keep ? f(a) * s : 0, and keep ? a * s * f'(b) : 0; f in fp64, rounded to fp32; not for fp64
  GELU = 6,
  GELU_GRAD = 7,
  GELU_TANH = 8,
  GELU_TANH_GRAD = 9,
  SILU = 10,
  SILU_GRAD = 11,
  FORMS = 12
};
constexpr int OPERANDS[FORMS] = {1, 1, 1, 2, 2, 3, 1, 2, 1, 2, 1, 2};

// What becomes of an element x and a standard normal variate z.
enum Noise : int {
  MULTIPLY = 0,  // x * (1 + deviation * z)
  ADD_NOISE = 1, // x + deviation * z
  NOISES = 2
};

struct Key {
  uint32_t word[4];
};

struct Constants {
  double s, t, u;
};

// Consecutive elements, operands side by side in memory; `bits`: one bit an element from bit 0 of the first word.
struct Run {
  const void* operand[3];
  void* out;
  int64_t count;
  const uint64_t* bits;
  Constants constants;
};

struct Kernels {
  const char* name;
  // Bits (1: kept) of the `count` elements from number `start` on; writes whole groups, at most
  // (count + 127) / 128 * 2 + 2 words.
  void (*keep_bits)(const Key& key, uint64_t start, int64_t count, uint32_t threshold, uint64_t* out);
  // Elements `start` ... `start + count` of the noise on contiguous memory.
  void (*gaussian[NOISES][DTYPES])(const Key& key, uint64_t start, int64_t count, double deviation, const void* a,
                                   void* out);
  void (*apply[FORMS][DTYPES])(const Run& run);
  // Both in one loop, without `bits`, where `start` and `count` are multiples of GROUP; null where it does not pay.
  void (*fused[FORMS][DTYPES])(const Key& key, uint64_t start, uint32_t threshold, const Run& run);
};

extern const Kernels portable_kernels;
#ifdef DROPKIT_X86
extern const Kernels avx2_kernels;
extern const Kernels avx512_kernels;
#endif

} // namespace dropkit
