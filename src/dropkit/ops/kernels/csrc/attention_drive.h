// Attention with dropout on its probabilities over whole tensors, on torch's threads.
#pragma once

#include <vector>

#include "drive.h"

namespace dropkit {

constexpr int BOOLEAN = -1; // a mask's dtype beside those of kernels.h

// A tensor of matrices: batch, head, row, column.
struct Matrices {
  char* data = nullptr;
  int dtype = FLOAT32;
  int64_t step[4] = {}; // in elements

  char* at(int64_t batch, int64_t head, int64_t row, int64_t column) const {
    const int64_t item = dtype == BOOLEAN ? 1 : ITEM_SIZE[dtype];
    return data + (batch * step[0] + head * step[1] + row * step[2] + column * step[3]) * item;
  }
};

struct Attention {
  Matrices q, k, v, mask; // of no data: no mask
  int64_t batch, heads, shared, queries, keys, features, values; // `shared` query heads have one head of k and v
  bool causal;
  float scale, keep_scale;
  uint32_t threshold;
  std::vector<Key> key; // of equally many matrices of probabilities each, counted over batch and head
  std::vector<uint64_t> start;
};

// What a backward pass needs, and what it makes.
struct AttentionSlope {
  Matrices out, gradient;
  const float* logarithm;       // of each row's sum of exponentials: batch, head, query
  Matrices q, k, v;             // gradients, rows of consecutive elements
  float* scores;                // that of the biased scores: batch, head, query, key; or null
};

// `out`: rows of consecutive elements. A row that may attend to nothing is zero, its logarithm +infinity.
void attend(const Attention& a, const Matrices& out, float* logarithm);
void attend_back(const Attention& a, const AttentionSlope& s);

} // namespace dropkit
