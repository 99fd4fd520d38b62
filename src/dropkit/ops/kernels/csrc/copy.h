// Elements from one stride to another.
#pragma once

#include "kernels.h"

namespace dropkit {

template <class T> void copy_items(const char* from, int64_t from_stride, char* to, int64_t to_stride, int64_t count) {
  const T* source = reinterpret_cast<const T*>(from);
  T* target = reinterpret_cast<T*>(to);
  for (int64_t i = 0; i < count; ++i) target[i * to_stride] = source[i * from_stride];
}

inline void copy_items(int64_t item, const char* from, int64_t from_stride, char* to, int64_t to_stride, int64_t count) {
  if (item == 2) copy_items<uint16_t>(from, from_stride, to, to_stride, count);
  if (item == 4) copy_items<uint32_t>(from, from_stride, to, to_stride, count);
  if (item == 8) copy_items<uint64_t>(from, from_stride, to, to_stride, count);
}

} // namespace dropkit
