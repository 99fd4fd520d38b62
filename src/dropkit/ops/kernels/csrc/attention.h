// What attention takes of one instruction set, and the plain data it is given. Only C headers here: see kernels.h.
#pragma once

#include "kernels.h"

namespace dropkit {

// A block of scores, row after row, and what turns it into probabilities of which some are dropped.
struct ScoreBlock {
  float* scores; // q k^T; overwritten. Rows may be written up to the next multiple of 16 columns
  int64_t stride, rows, columns;
  float scale;       // of the scores
  const float* bias; // added to them then, readable up to the next multiple of 16 columns; or null
  int64_t bias_stride;
  int64_t reach, growth;  // row r may attend to the first reach + r * growth columns, and to none beyond `columns`
  const uint64_t* bits;   // keep bits: of row r and column c, number r * bits_stride + c
  int64_t bits_stride;
};

// What each row of a softmax taken block by block has so far, and the rows of its product with the values.
struct Running {
  float *top, *sum;
  float* out;
  int64_t stride, columns; // a multiple of 16
};

struct AttentionKernels {
  const char* name;
  int64_t panel; // columns of a panel, a multiple of 16

  // Copies a matrix whose element (k, n) is at k * row_step + n * column_step to fp32 panels: all rows of the first
  // `panel` columns, row after row, then those of the next. Missing columns of the last panel are zero.
  void (*pack)(int dtype, const void* from, int64_t row_step, int64_t column_step, int64_t rows, int64_t columns,
               float* panels);
  // The same to fp32 rows `stride` apart.
  void (*widen)(int dtype, const void* from, int64_t row_step, int64_t column_step, int64_t rows, int64_t columns,
                float* to, int64_t stride);
  // Writes rows[r] * factors[r] (null: 1) * factor, to rows of consecutive elements `step` apart.
  void (*narrow)(int dtype, const float* rows, int64_t stride, int64_t count, int64_t columns, const float* factors,
                 float factor, void* to, int64_t step);
  // c (+)= a b: a of rows x depth with its element (r, k) at r * row_step + k * column_step, b the first `depth` of
  // the `packed` rows of panels, c in rows `stride` apart that are written up to the next multiple of 16 columns.
  void (*multiply)(const float* a, int64_t row_step, int64_t column_step, const float* panels, int64_t packed,
                   int64_t rows, int64_t columns, int64_t depth, float* c, int64_t stride, bool add);
  // out[r] = sum of a[r] * b[r] over the columns.
  void (*dots)(const float* a, int64_t a_stride, const float* b, int64_t b_stride, int64_t rows, int64_t columns,
               float* out);
  // scores <- kept exponentials of (scores * scale + bias - top), with `top` and `sum` brought up to date and the
  // rows of `out` scaled down to the new top.
  void (*exponentials)(const ScoreBlock& block, const Running& running);
  // scores <- p = exp(scores * scale + bias - logarithm), times keep_scale where kept, else 0; and
  // gradients <- p * (gradients * keep_scale where kept, else 0, minus delta): that of the biased scores.
  void (*slopes)(const ScoreBlock& block, float* gradients, const float* logarithm, const float* delta,
                 float keep_scale);
};

extern const AttentionKernels portable_attention;
#ifdef DROPKIT_X86
extern const AttentionKernels avx2_attention;
extern const AttentionKernels avx512_attention;
#endif

} // namespace dropkit
