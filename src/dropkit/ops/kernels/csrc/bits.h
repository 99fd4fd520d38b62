// Looking up mask bits in another order than that in which they were drawn.
#pragma once

#include <algorithm>
#include <cstring>

#include "kernels.h"

namespace dropkit {

constexpr int64_t TILE_LINES = 64, TILE_COLUMNS = 1024;

// Copies `count` bits, `stride` apart, to consecutive places.
inline void gather_bits(const uint64_t* words, int64_t position, int64_t stride, int64_t count, uint64_t* out) {
  if (stride == 0) {
    const bool kept = (words[position / 64] >> (position % 64)) & 1;
    std::memset(out, kept ? 0xFF : 0, static_cast<size_t>((count + 63) / 64) * 8);
    return;
  }
  if (stride == 1) {
    const int64_t word = position / 64, by = position % 64, last = (position + count - 1) / 64;
    for (int64_t i = 0; i < (count + 63) / 64; ++i) {
      const uint64_t next = word + i + 1 <= last ? words[word + i + 1] : 0;
      out[i] = by == 0 ? words[word + i] : (words[word + i] >> by) | (next << (64 - by));
    }
    return;
  }
  for (int64_t i = 0; i < count; i += 64) {
    uint64_t packed = 0;
    for (int64_t j = 0; j < std::min<int64_t>(64, count - i); ++j, position += stride)
      packed |= ((words[position / 64] >> (position % 64)) & 1) << j;
    out[i / 64] = packed;
  }
}

// Turns the 64 x 64 bits of `block` about their diagonal (Warren, "Hacker's Delight", sec. 7-3).
inline void transpose_block(uint64_t block[64]) {
  uint64_t mask = 0x00000000FFFFFFFF;
  for (int width = 32; width != 0; width >>= 1, mask ^= mask << width)
    for (int first = 0; first < 64; first += 2 * width)
      for (int i = first; i < first + width; ++i) {
        const uint64_t swapped = ((block[i] >> width) ^ block[i + width]) & mask;
        block[i] ^= swapped << width;
        block[i + width] ^= swapped;
      }
}

// Bit `column` of line `line` is that at position + column * stride + line; each line begins at a word. At most
// TILE_LINES lines and TILE_COLUMNS columns.
inline void transpose_bits(const uint64_t* words, int64_t position, int64_t stride, int64_t lines, int64_t columns,
                           uint64_t* out) {
  const int64_t line_words = (columns + 63) / 64;
  for (int64_t first = 0; first < columns; first += 64) {
    uint64_t block[64] = {};
    const int64_t width = std::min<int64_t>(64, columns - first);
    for (int64_t i = 0; i < width; ++i) {
      const int64_t from = position + (first + i) * stride, word = from / 64, by = from % 64;
      block[i] = words[word] >> by;
      if (by + lines > 64) block[i] |= words[word + 1] << (64 - by);
    }
    transpose_block(block);
    for (int64_t line = 0; line < lines; ++line) out[line * line_words + first / 64] = block[line];
  }
}

// Puts lines that begin at a word one after another, without gaps.
inline void join_lines(const uint64_t* lines, int64_t count, int64_t bits, uint64_t* out) {
  const int64_t line_words = (bits + 63) / 64;
  std::memset(out, 0, static_cast<size_t>((count * bits + 63) / 64 + 1) * 8);
  for (int64_t line = 0, position = 0; line < count; ++line)
    for (int64_t i = 0; i < line_words; ++i) {
      const int64_t length = std::min<int64_t>(64, bits - i * 64), word = position / 64, by = position % 64;
      const uint64_t value = lines[line * line_words + i];
      out[word] |= value << by;
      if (by + length > 64) out[word + 1] |= value >> (64 - by);
      position += length;
    }
}

} // namespace dropkit
