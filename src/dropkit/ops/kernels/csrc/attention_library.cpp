// The operators of attention: namespace dropkit_native of torch.ops. `key` and `law` are those of library.cpp.
#include <optional>
#include <tuple>

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include "attention_drive.h"

namespace dropkit {

namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

int dtype_of(const Tensor& x) {
  switch (x.scalar_type()) {
  case ScalarType::Float: return FLOAT32;
  case ScalarType::BFloat16: return BFLOAT16;
  case ScalarType::Half: return FLOAT16;
  case ScalarType::Bool: return BOOLEAN;
  default: STD_TORCH_CHECK(false, "dropkit attention needs float32, bfloat16 or float16");
  }
}

// `x` as seen from `sizes`, to which it broadcasts.
Matrices matrices(const char* name, const Tensor& x, const int64_t (&sizes)[4]) {
  STD_TORCH_CHECK(x.is_cpu() && x.dim() == 4, name, " must be a CPU tensor with 4 axes");
  Matrices m;
  m.data = static_cast<char*>(const_cast<void*>(x.const_data_ptr()));
  m.dtype = dtype_of(x);
  for (int i = 0; i < 4; ++i) {
    STD_TORCH_CHECK(x.size(i) == sizes[i] || x.size(i) == 1, name, " has ", x.size(i), " along axis ", i, ", not ", sizes[i]);
    m.step[i] = x.size(i) == 1 ? 0 : x.stride(i);
  }
  if (x.size(3) == 1) m.step[3] = x.size(3) == sizes[3] ? 1 : 0;
  return m;
}

Attention attention_of(const Tensor& q, const Tensor& k, const Tensor& v, const std::optional<Tensor>& mask,
                       const Tensor& key, const Tensor& law, double scale, bool is_causal) {
  STD_TORCH_CHECK(q.dim() == 4 && k.dim() == 4 && v.dim() == 4, "q, k and v must have 4 axes");
  STD_TORCH_CHECK(dtype_of(q) != BOOLEAN && q.scalar_type() == k.scalar_type() && q.scalar_type() == v.scalar_type(),
                  "q, k and v must be of one floating-point dtype");
  Attention a;
  a.batch = q.size(0), a.heads = q.size(1), a.queries = q.size(2), a.features = q.size(3);
  a.keys = k.size(2), a.values = v.size(3);
  STD_TORCH_CHECK(k.size(1) > 0 && a.heads % k.size(1) == 0, "the heads of k must divide those of q");
  STD_TORCH_CHECK(k.size(0) == a.batch && v.size(0) == a.batch && v.size(1) == k.size(1) && v.size(2) == a.keys,
                  "k and v must have the batch of q, and the same heads and keys");
  STD_TORCH_CHECK(q.numel() > 0 && k.numel() > 0 && v.numel() > 0, "q, k and v must not be empty");
  a.shared = a.heads / k.size(1);
  a.q = matrices("q", q, {a.batch, a.heads, a.queries, a.features});
  a.k = matrices("k", k, {a.batch, k.size(1), a.keys, a.features});
  a.v = matrices("v", v, {a.batch, k.size(1), a.keys, a.values});
  if (mask.has_value()) {
    STD_TORCH_CHECK(!is_causal, "a mask and is_causal exclude each other");
    a.mask = matrices("mask", *mask, {a.batch, a.heads, a.queries, a.keys});
  }
  STD_TORCH_CHECK(key.scalar_type() == ScalarType::Long && key.dim() >= 1 && key.size(key.dim() - 1) == 5 &&
                      key.is_cpu(),
                  "key must be an int64 tensor of shape (*, 5)");
  const Tensor dense = torch::stable::contiguous(key);
  const int64_t* words = static_cast<const int64_t*>(dense.const_data_ptr());
  STD_TORCH_CHECK(key.numel() > 0 && a.batch % (key.numel() / 5) == 0, "the number of keys must divide the batch");
  for (int64_t i = 0; i < key.numel(); i += 5) {
    const auto word = [&](int64_t j) { return static_cast<uint32_t>(words[i + j]); };
    a.key.push_back({{word(0), word(1), word(2), word(3)}});
    a.start.push_back(static_cast<uint64_t>(words[i + 4]));
  }
  STD_TORCH_CHECK(law.scalar_type() == ScalarType::Double && law.dim() == 1 && law.size(0) == 2 && law.is_cpu(),
                  "law must be a float64 CPU tensor of shape (2,)");
  const Tensor numbers = torch::stable::contiguous(law);
  const double* number = static_cast<const double*>(numbers.const_data_ptr());
  a.threshold = static_cast<uint32_t>(number[0]), a.keep_scale = static_cast<float>(number[1]);
  a.scale = static_cast<float>(scale), a.causal = is_causal;
  return a;
}

// A new tensor of the batch, heads and rows of `x`: rows of all heads of one place lie side by side, as linear maps
// around attention have them. It is no view, which a transposed tensor would be to autograd.
Tensor like(const Tensor& x, int64_t columns) {
  const int64_t sizes[4] = {x.size(0), x.size(1), x.size(2), columns};
  const int64_t strides[4] = {x.size(1) * x.size(2) * columns, columns, x.size(1) * columns, 1};
  int32_t dtype;
  AtenTensorHandle made;
  STABLE_TORCH_ERROR_CODE_CHECK(aoti_torch_get_dtype(x.get(), &dtype));
  STABLE_TORCH_ERROR_CODE_CHECK(
      aoti_torch_empty_strided(4, sizes, strides, dtype, aoti_torch_device_type_cpu(), 0, &made));
  return Tensor(made);
}
Matrices output(const Tensor& x) {
  return matrices("output", x, {x.size(0), x.size(1), x.size(2), x.size(3)});
}

std::tuple<Tensor, Tensor> attention(const Tensor& q, const Tensor& k, const Tensor& v, std::optional<Tensor> mask,
                                     const Tensor& key, const Tensor& law, double scale, bool is_causal) {
  const Attention a = attention_of(q, k, v, mask, key, law, scale, is_causal);
  Tensor out = like(q, a.values);
  Tensor logarithm = torch::stable::new_empty(q, {a.batch, a.heads, a.queries}, ScalarType::Float);
  attend(a, output(out), static_cast<float*>(logarithm.mutable_data_ptr()));
  return {out, logarithm};
}

std::tuple<Tensor, Tensor, Tensor, Tensor> attention_backward(
    const Tensor& gradient, const Tensor& q, const Tensor& k, const Tensor& v, std::optional<Tensor> mask,
    const Tensor& key, const Tensor& law, const Tensor& out, const Tensor& logarithm, double scale, bool is_causal,
    bool of_mask) {
  const Attention a = attention_of(q, k, v, mask, key, law, scale, is_causal);
  const int64_t sizes[4] = {a.batch, a.heads, a.queries, a.values};
  STD_TORCH_CHECK(gradient.scalar_type() == q.scalar_type() && out.scalar_type() == q.scalar_type(),
                  "the gradient and the output must be of the dtype of q");
  const Tensor sums = torch::stable::contiguous(logarithm);
  STD_TORCH_CHECK(sums.scalar_type() == ScalarType::Float && sums.numel() == a.batch * a.heads * a.queries,
                  "there must be one fp32 logarithm a row");
  Tensor dq = like(q, a.features), dk = like(k, a.features), dv = like(v, a.values);
  Tensor scores = of_mask ? torch::stable::new_empty(q, {a.batch, a.heads, a.queries, a.keys}, ScalarType::Float)
                          : torch::stable::new_empty(q, {0}, ScalarType::Float);
  AttentionSlope s;
  s.out = matrices("out", out, sizes), s.gradient = matrices("gradient", gradient, sizes);
  s.logarithm = static_cast<const float*>(sums.const_data_ptr());
  s.q = output(dq), s.k = output(dk), s.v = output(dv);
  s.scores = of_mask ? static_cast<float*>(scores.mutable_data_ptr()) : nullptr;
  attend_back(a, s);
  return {dq, dk, dv, scores};
}

} // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(dropkit_native, m) {
  m.def("attention(Tensor q, Tensor k, Tensor v, Tensor? mask, Tensor key, Tensor law, float scale, "
        "bool is_causal) -> (Tensor, Tensor)");
  m.def("attention_backward(Tensor gradient, Tensor q, Tensor k, Tensor v, Tensor? mask, Tensor key, Tensor law, "
        "Tensor out, Tensor logarithm, float scale, bool is_causal, bool of_mask) "
        "-> (Tensor, Tensor, Tensor, Tensor)");
}

STABLE_TORCH_LIBRARY_IMPL(dropkit_native, CPU, m) {
  m.impl("attention", TORCH_BOX(&attention));
  m.impl("attention_backward", TORCH_BOX(&attention_backward));
}

} // namespace dropkit
