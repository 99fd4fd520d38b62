#include "lanes_avx2.h"

#include "apply.h"

namespace dropkit {
extern const Kernels avx2_kernels = DROPKIT_KERNELS("avx2");
}
