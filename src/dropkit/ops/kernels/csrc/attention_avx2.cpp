#include "tile_avx2.h"

#include "tile_softmax.h"

namespace dropkit {
extern const AttentionKernels avx2_attention = DROPKIT_ATTENTION("avx2");
}
