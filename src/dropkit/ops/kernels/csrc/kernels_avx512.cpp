#include "lanes_avx512.h"

#include "apply.h"

namespace dropkit {
extern const Kernels avx512_kernels = DROPKIT_KERNELS("avx512");
}
