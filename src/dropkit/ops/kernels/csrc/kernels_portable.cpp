#include "lanes_portable.h"

#include "apply.h"

namespace dropkit {
extern const Kernels portable_kernels = DROPKIT_KERNELS("portable");
}
