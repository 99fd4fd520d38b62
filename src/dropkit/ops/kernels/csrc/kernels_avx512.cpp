#include "lanes_avx512.h"

#include "apply.h"

namespace dropkit {
extern const Kernels avx512_kernels = {"avx512", keep_bits, DROPKIT_GAUSSIAN, DROPKIT_APPLY, DROPKIT_FUSED};
}
