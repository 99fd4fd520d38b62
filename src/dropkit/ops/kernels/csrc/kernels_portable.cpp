#include "lanes_portable.h"

#include "apply.h"

namespace dropkit {
extern const Kernels portable_kernels = {"portable", keep_bits, gaussian, DROPKIT_APPLY, {}};
}
