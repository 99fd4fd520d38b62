// The operators that torch.compile, transforms and unusual layouts reach: namespace dropkit_native of torch.ops.
#include <optional>
#include <string>

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include "drive.h"

namespace dropkit {

namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;
using Shape = std::vector<int64_t>;

Dtype dtype_of(const Tensor& x) {
  switch (x.scalar_type()) {
  case ScalarType::Float: return FLOAT32;
  case ScalarType::Double: return FLOAT64;
  case ScalarType::BFloat16: return BFLOAT16;
  case ScalarType::Half: return FLOAT16;
  default: STD_TORCH_CHECK(false, "dropkit kernels need float32, float64, bfloat16 or float16");
  }
}

Shape to_shape(const torch::headeronly::IntHeaderOnlyArrayRef& sizes) { return Shape(sizes.begin(), sizes.end()); }

uint32_t to_word(int64_t value) { return static_cast<uint32_t>(value); }

void add_key(MaskSource& mask, const int64_t* key) {
  mask.keys.push_back({{to_word(key[0]), to_word(key[1]), to_word(key[2]), to_word(key[3])}});
  mask.starts.push_back(static_cast<uint64_t>(key[4]));
}

// `key`: int64, the four words and the number of the first element in its last axis; the axes before it are
// the first axes of the mask.
MaskSource mask_source(const Tensor& key, const Shape& shape) {
  MaskSource mask;
  STD_TORCH_CHECK(key.scalar_type() == ScalarType::Long && key.dim() >= 1 && key.size(key.dim() - 1) == 5,
                  "key must be an int64 tensor of shape (*, 5)");
  const Tensor dense = torch::stable::contiguous(key);
  mask.shape = shape;
  mask.key_axes = static_cast<int>(key.dim()) - 1;
  STD_TORCH_CHECK(mask.key_axes <= static_cast<int>(shape.size()), "key has more axes than the mask");
  for (int axis = 0; axis < mask.key_axes; ++axis)
    STD_TORCH_CHECK(key.size(axis) == shape[axis], "key and mask differ in the size of axis ", axis);
  const int64_t* data = static_cast<const int64_t*>(dense.const_data_ptr());
  for (int64_t i = 0; i < key.numel() / 5; ++i) add_key(mask, data + 5 * i);
  return mask;
}

MaskSource mask_source(const Shape& key, const Shape& shape) {
  STD_TORCH_CHECK(key.size() == 5, "key must have 5 numbers, got ", key.size());
  MaskSource mask;
  mask.shape = shape;
  mask.key_axes = 0;
  add_key(mask, key.data());
  return mask;
}

// Strides of `x` as seen from `sizes`, which it broadcasts to.
View view(const Tensor& x, const Shape& sizes) {
  const auto own_sizes = x.sizes();
  const auto own_strides = x.strides();
  STD_TORCH_CHECK(own_sizes.size() <= sizes.size(), "an operand has more axes than the output");
  View v{static_cast<char*>(const_cast<void*>(x.const_data_ptr())), Shape(sizes.size(), 0)};
  const size_t lead = sizes.size() - own_sizes.size();
  for (size_t i = 0; i < own_sizes.size(); ++i) {
    STD_TORCH_CHECK(own_sizes[i] == sizes[lead + i] || own_sizes[i] == 1, "an operand does not broadcast to the output");
    v.strides[lead + i] = own_sizes[i] == 1 ? 0 : own_strides[i];
  }
  return v;
}

Tensor run(const Call& call, const MaskSource& mask, const std::vector<const Tensor*>& operands) {
  const Tensor& x = *operands[0];
  const Shape sizes = to_shape(x.sizes());
  STD_TORCH_CHECK(x.is_cpu(), "dropkit kernels need a CPU tensor");
  for (const Tensor* other : operands)
    STD_TORCH_CHECK(other->is_cpu() && other->scalar_type() == x.scalar_type(), "operands differ in device or dtype");
  STD_TORCH_CHECK(mask.shape.size() == sizes.size(), "mask has ", mask.shape.size(), " axes, the input ", sizes.size());
  bool full = mask.key_axes == 0;
  for (size_t i = 0; i < sizes.size(); ++i) {
    STD_TORCH_CHECK(mask.shape[i] == sizes[i] || mask.shape[i] == 1, "mask does not broadcast to the input");
    full &= mask.shape[i] == sizes[i];
  }
  Tensor out = torch::stable::empty_like(x);
  bool dense = full && x.is_contiguous() && out.is_contiguous();
  for (size_t j = 0; j < operands.size(); ++j) {
    const Shape own = to_shape(operands[j]->sizes());
    const bool row = j == 2 && own.size() == 1 && own.back() == sizes.back();
    dense &= operands[j]->is_contiguous() && (own == sizes || row);
  }
  if (dense) {
    Dense tensors{{}, out.mutable_data_ptr(), x.numel(), operands.back()->numel()};
    for (size_t j = 0; j < operands.size(); ++j) tensors.operand[j] = operands[j]->const_data_ptr();
    run_dense(call, mask.keys[0], mask.starts[0], tensors);
    return out;
  }
  std::vector<View> views;
  for (const Tensor* other : operands) views.push_back(view(*other, sizes));
  run_strided(call, mask, sizes, views, View{static_cast<char*>(out.mutable_data_ptr()), to_shape(out.strides())});
  return out;
}

Call call(Form form, const Tensor& x, int64_t threshold, double s, double t = 0.0, double u = 0.0) {
  return {form, dtype_of(x), {s, t, u}, static_cast<uint32_t>(threshold)};
}

// `law`: threshold and scale, for AFFINE shift and what a dropped element becomes, as fp64, which holds each exactly.
// A tensor, so that compiled code takes another rate without being compiled again.
Call call(Form form, const Tensor& x, const Tensor& law) {
  const int64_t size = form == AFFINE ? 4 : 2;
  STD_TORCH_CHECK(law.scalar_type() == ScalarType::Double && law.dim() == 1 && law.size(0) == size && law.is_cpu(),
                  "law must be a float64 CPU tensor of shape (", size, ",)");
  const Tensor dense = torch::stable::contiguous(law);
  const double* numbers = static_cast<const double*>(dense.const_data_ptr());
  Call call{form, dtype_of(x), {numbers[1], 0.0, 0.0}, static_cast<uint32_t>(numbers[0])};
  if (form == AFFINE) call.constants.t = numbers[2], call.constants.u = numbers[3];
  return call;
}

Tensor select(const Tensor& x, const Tensor& key, const Tensor& law, const Shape& mask) {
  return run(call(SELECT, x, law), mask_source(key, mask), {&x});
}
Tensor select_words(const Tensor& x, const Shape& key, int64_t threshold, double scale, const Shape& mask) {
  return run(call(SELECT, x, threshold, scale), mask_source(key, mask), {&x});
}
Tensor affine(const Tensor& x, const Tensor& key, const Tensor& law, const Shape& mask) {
  return run(call(AFFINE, x, law), mask_source(key, mask), {&x});
}
Tensor affine_words(const Tensor& x, const Shape& key, int64_t threshold, double scale, double shift, double dropped,
                    const Shape& mask) {
  return run(call(AFFINE, x, threshold, scale, shift, dropped), mask_source(key, mask), {&x});
}

// The fused forms have one bit an element.
MaskSource full_mask(const Tensor& x, const Tensor& key) { return mask_source(key, to_shape(x.sizes())); }

Tensor relu_select(const Tensor& x, const Tensor& key, const Tensor& law) {
  return run(call(RELU, x, law), full_mask(x, key), {&x});
}
Tensor relu_select_backward(const Tensor& grad, const Tensor& output, const Tensor& law) {
  const MaskSource unused = mask_source(Shape{0, 0, 0, 0, 0}, to_shape(grad.sizes()));
  return run(call(RELU_GRAD, grad, law), unused, {&grad, &output});
}
Form activation(int64_t form, const Tensor& x) {
  STD_TORCH_CHECK(form == GELU || form == GELU_TANH || form == SILU, "no activation has the number ", form);
  STD_TORCH_CHECK(dtype_of(x) != FLOAT64, "activations in float64 have no kernel");
  return static_cast<Form>(form);
}
Tensor activation_select(const Tensor& x, int64_t form, const Tensor& key, const Tensor& law) {
  return run(call(activation(form, x), x, law), full_mask(x, key), {&x});
}
Tensor activation_select_backward(const Tensor& grad, const Tensor& x, int64_t form, const Tensor& key,
                                  const Tensor& law) {
  const Form slope = static_cast<Form>(activation(form, x) + 1);
  return run(call(slope, grad, law), full_mask(grad, key), {&grad, &x});
}
Tensor select_add(const Tensor& x, const Tensor& residual, const Tensor& key, const Tensor& law) {
  return run(call(ADD, x, law), full_mask(x, key), {&x, &residual});
}
Tensor bias_select_add(const Tensor& x, const Tensor& bias, const Tensor& residual, const Tensor& key,
                       const Tensor& law) {
  return run(call(BIAS_ADD, x, law), full_mask(x, key), {&x, &residual, &bias});
}

Tensor gaussian(const Tensor& x, const Tensor& key, const Tensor& deviation, int64_t noise) {
  STD_TORCH_CHECK(noise == MULTIPLY || noise == ADD_NOISE, "no noise has the number ", noise);
  STD_TORCH_CHECK(deviation.scalar_type() == ScalarType::Double && deviation.numel() == 1 && deviation.is_cpu(),
                  "deviation must be one float64 number on the CPU");
  STD_TORCH_CHECK(x.is_cpu(), "dropkit kernels need a CPU tensor");
  const MaskSource mask = full_mask(x, key);
  const NoiseCall call{static_cast<Noise>(noise), dtype_of(x), *static_cast<const double*>(deviation.const_data_ptr())};
  Tensor out = torch::stable::empty_like(x);
  if (x.numel() == 0) return out;
  if (mask.key_axes == 0 && x.is_contiguous() && out.is_contiguous())
    run_gaussian(call, mask.keys[0], mask.starts[0], x.const_data_ptr(), out.mutable_data_ptr(), x.numel());
  else
    run_gaussian(call, mask, view(x, mask.shape), view(out, mask.shape));
  return out;
}

} // namespace

STABLE_TORCH_LIBRARY(dropkit_native, m) {
  m.def("select(Tensor x, Tensor key, Tensor law, int[] mask) -> Tensor");
  m.def("select.words(Tensor x, int[] key, int threshold, float scale, int[] mask) -> Tensor");
  m.def("affine(Tensor x, Tensor key, Tensor law, int[] mask) -> Tensor");
  m.def("affine.words(Tensor x, int[] key, int threshold, float scale, float shift, float dropped, int[] mask) -> Tensor");
  m.def("relu_select(Tensor x, Tensor key, Tensor law) -> Tensor");
  m.def("relu_select_backward(Tensor grad, Tensor output, Tensor law) -> Tensor");
  m.def("activation_select(Tensor x, int form, Tensor key, Tensor law) -> Tensor");
  m.def("activation_select_backward(Tensor grad, Tensor x, int form, Tensor key, Tensor law) -> Tensor");
  m.def("select_add(Tensor x, Tensor residual, Tensor key, Tensor law) -> Tensor");
  m.def("bias_select_add(Tensor x, Tensor bias, Tensor residual, Tensor key, Tensor law) -> Tensor");
  m.def("gaussian(Tensor x, Tensor key, Tensor deviation, int noise) -> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(dropkit_native, CPU, m) {
  m.impl("select", TORCH_BOX(&select));
  m.impl("select.words", TORCH_BOX(&select_words));
  m.impl("affine", TORCH_BOX(&affine));
  m.impl("affine.words", TORCH_BOX(&affine_words));
  m.impl("relu_select", TORCH_BOX(&relu_select));
  m.impl("relu_select_backward", TORCH_BOX(&relu_select_backward));
  m.impl("activation_select", TORCH_BOX(&activation_select));
  m.impl("activation_select_backward", TORCH_BOX(&activation_select_backward));
  m.impl("select_add", TORCH_BOX(&select_add));
  m.impl("bias_select_add", TORCH_BOX(&bias_select_add));
  m.impl("gaussian", TORCH_BOX(&gaussian));
}

} // namespace dropkit
