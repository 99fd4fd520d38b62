#include "lanes_avx2.h"

#include "apply.h"

namespace dropkit {
extern const Kernels avx2_kernels = {"avx2", keep_bits, DROPKIT_GAUSSIAN, DROPKIT_APPLY, {}};
}
