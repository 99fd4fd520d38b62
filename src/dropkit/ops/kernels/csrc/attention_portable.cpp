#include "tile_portable.h"

#include "tile_softmax.h"

namespace dropkit {
extern const AttentionKernels portable_attention = DROPKIT_ATTENTION("portable");
}
