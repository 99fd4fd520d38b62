// Philox4x32-10 on 16 blocks at once, and on one block. The caller's translation unit defines Lanes (16 words
// of 32 bits) with multiply(), exclusive_or(), same() and first16() for its instruction set.
#pragma once

#include "kernels.h"

namespace {

constexpr uint32_t M0 = 0xD2511F53, M1 = 0xCD9E8D57, W0 = 0x9E3779B9, W1 = 0xBB67AE85;
constexpr int ROUNDS = 10;
enum Domain : uint32_t { PRIMARY = 0, NORMAL = 1u << 30, TIE = 1u << 31 };

inline uint32_t high(uint64_t product) { return static_cast<uint32_t>(product >> 32); }
inline uint32_t low(uint64_t product) { return static_cast<uint32_t>(product); }

inline void philox_block(const dropkit::Key& key, uint64_t block, Domain domain, uint32_t out[4]) {
  uint32_t c0 = low(block), c1 = high(block) | domain, c2 = key.word[2], c3 = key.word[3];
  uint32_t k0 = key.word[0], k1 = key.word[1];
  for (int round = 0; round < ROUNDS; ++round, k0 += W0, k1 += W1) {
    const uint64_t p0 = uint64_t{c0} * M0, p1 = uint64_t{c2} * M1;
    c0 = high(p1) ^ c1 ^ k0;
    c1 = low(p1);
    c2 = high(p0) ^ c3 ^ k1;
    c3 = low(p0);
  }
  out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

// What all blocks with the same upper counter word share. In the first three rounds half of the state depends
// on the key alone, so those products are taken once, in scalar code.
struct Schedule {
  Lanes k0[ROUNDS], k1[ROUNDS];
  Lanes round0, round1, round1_c2, round2;

  Schedule(const dropkit::Key& key, uint32_t c1) {
    uint32_t scalar0[ROUNDS], scalar1[ROUNDS];
    for (int round = 0; round < ROUNDS; ++round) {
      scalar0[round] = key.word[0] + static_cast<uint32_t>(round) * W0;
      scalar1[round] = key.word[1] + static_cast<uint32_t>(round) * W1;
      k0[round] = same(scalar0[round]);
      k1[round] = same(scalar1[round]);
    }
    const uint64_t p1 = uint64_t{key.word[2]} * M1;
    const uint64_t p0 = uint64_t{high(p1) ^ c1 ^ scalar0[0]} * M0; // round 1's first product
    round0 = same(key.word[3] ^ scalar1[0]);
    round1 = same(low(p1) ^ scalar0[1]);
    round1_c2 = same(high(p0) ^ scalar1[1]);
    round2 = same(low(p0) ^ scalar1[2]);
  }
};

// The four words of blocks 16 * group ... 16 * group + 15.
inline __attribute__((always_inline)) void philox_group(const Schedule& s, uint32_t first_block, Lanes out[4]) {
  Lanes c0, c1, c2, c3, h0, l0, h1, l1;
  multiply(first16(first_block), M0, h0, l0);
  c2 = exclusive_or(h0, s.round0);
  c3 = l0;
  multiply(c2, M1, h1, l1);
  c0 = exclusive_or(h1, s.round1);
  c1 = l1;
  c2 = exclusive_or(c3, s.round1_c2);
  multiply(c0, M0, h0, l0);
  multiply(c2, M1, h1, l1);
  c0 = exclusive_or(h1, c1, s.k0[2]);
  c1 = l1;
  c2 = exclusive_or(h0, s.round2);
  c3 = l0;
#pragma GCC unroll 7
  for (int round = 3; round < ROUNDS; ++round) {
    multiply(c0, M0, h0, l0);
    multiply(c2, M1, h1, l1);
    c0 = exclusive_or(h1, c1, s.k0[round]);
    c1 = l1;
    c2 = exclusive_or(h0, c3, s.k1[round]);
    c3 = l0;
  }
  out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

} // namespace
