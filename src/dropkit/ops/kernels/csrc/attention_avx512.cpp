#include "tile_avx512.h"

#include "tile_softmax.h"

namespace dropkit {
extern const AttentionKernels avx512_attention = DROPKIT_ATTENTION("avx512");
}
