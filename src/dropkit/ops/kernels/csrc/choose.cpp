// Which instruction set's kernels are used.
#include <string.h>

#include "drive.h"

namespace dropkit {

std::vector<const Kernels*> supported() {
  std::vector<const Kernels*> found;
#ifdef DROPKIT_X86
  __builtin_cpu_init();
  const bool common = __builtin_cpu_supports("f16c") && __builtin_cpu_supports("fma");
  if (common && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    found.push_back(&avx512_kernels);
  if (common && __builtin_cpu_supports("avx2")) found.push_back(&avx2_kernels);
#endif
  found.push_back(&portable_kernels);
  return found;
}

namespace {
const Kernels*& current() {
  static const Kernels* chosen = supported().front();
  return chosen;
}
} // namespace

const Kernels& kernels() { return *current(); }

bool use(const char* name) {
  for (const Kernels* candidate : supported())
    if (strcmp(candidate->name, name) == 0) {
      current() = candidate;
      return true;
    }
  return false;
}

} // namespace dropkit
