#include "lanes_portable.h"

#include "apply.h"

namespace dropkit {
extern const Kernels portable_kernels = {"portable", keep_bits, DROPKIT_GAUSSIAN, DROPKIT_APPLY, {}};
}
