// The Python module: a thin door for contiguous CPU tensors, past the dispatcher, whose cost a small tensor would
// notice; the mixing of keys; and the choice of the instruction set.
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <exception>

#include "drive.h"

namespace {

using namespace dropkit;

constexpr uint32_t M0 = 0xD2511F53, M1 = 0xCD9E8D57, W0 = 0x9E3779B9, W1 = 0xBB67AE85;

// Reads the first `count` items of a tuple of `size`.
bool read_words(PyObject* tuple, Py_ssize_t size, Py_ssize_t count, uint32_t* out) {
  if (!PyTuple_Check(tuple) || PyTuple_Size(tuple) != size) {
    PyErr_Format(PyExc_TypeError, "expected a tuple of %zd ints", size);
    return false;
  }
  for (Py_ssize_t i = 0; i < count; ++i) {
    const unsigned long long value = PyLong_AsUnsignedLongLong(PyTuple_GetItem(tuple, i));
    if (PyErr_Occurred()) return false;
    if (value >> 32) {
      PyErr_SetString(PyExc_OverflowError, "expected words below 2**32");
      return false;
    }
    out[i] = static_cast<uint32_t>(value);
  }
  return true;
}

PyObject* philox(PyObject*, PyObject* const* args, Py_ssize_t count) {
  uint32_t c[4], k[2];
  if (count != 2) return PyErr_Format(PyExc_TypeError, "philox takes 2 arguments, got %zd", count);
  if (!read_words(args[0], 4, 4, c) || !read_words(args[1], 2, 2, k)) return nullptr;
  for (int round = 0; round < 10; ++round, k[0] += W0, k[1] += W1) {
    const uint64_t p0 = uint64_t{c[0]} * M0, p1 = uint64_t{c[2]} * M1;
    c[0] = static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ k[0];
    c[1] = static_cast<uint32_t>(p1);
    c[2] = static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ k[1];
    c[3] = static_cast<uint32_t>(p0);
  }
  PyObject* out = PyTuple_New(4);
  if (out == nullptr) return nullptr;
  for (int i = 0; i < 4; ++i) {
    PyObject* word = PyLong_FromUnsignedLong(c[i]);
    if (word == nullptr || PyTuple_SetItem(out, i, word) != 0) {
      Py_DECREF(out);
      return nullptr;
    }
  }
  return out;
}

// Runs `work` while other Python threads may run; None, or RuntimeError.
template <class Work> PyObject* without_lock(const Work& work) {
  bool failed = false;
  Py_BEGIN_ALLOW_THREADS;
  try {
    work();
  } catch (const std::exception&) {
    failed = true;
  }
  Py_END_ALLOW_THREADS;
  if (failed) return PyErr_Format(PyExc_RuntimeError, "torch's thread pool failed");
  Py_RETURN_NONE;
}

// dense(form, dtype, address, out, count, key, threshold, s[, t, u]): see drive.h; `key` is the four words and the
// number of the first element. The caller guarantees contiguous memory.
PyObject* dense(PyObject*, PyObject* const* args, Py_ssize_t count) {
  if (count != 8 && count != 10) return PyErr_Format(PyExc_TypeError, "dense takes 8 or 10 arguments, got %zd", count);
  const long form = PyLong_AsLong(args[0]), dtype = PyLong_AsLong(args[1]);
  void* const from = PyLong_AsVoidPtr(args[2]);
  void* const to = PyLong_AsVoidPtr(args[3]);
  const long long elements = PyLong_AsLongLong(args[4]);
  Key key;
  if (!read_words(args[5], 5, 4, key.word)) return nullptr;
  const unsigned long long start = PyLong_AsUnsignedLongLong(PyTuple_GetItem(args[5], 4));
  const unsigned long threshold = PyLong_AsUnsignedLong(args[6]);
  Constants constants{PyFloat_AsDouble(args[7]), 0.0, 0.0};
  if (count == 10) constants.t = PyFloat_AsDouble(args[8]), constants.u = PyFloat_AsDouble(args[9]);
  if (PyErr_Occurred()) return nullptr;
  if (form < 0 || form >= FORMS || OPERANDS[form] != 1 || dtype < 0 || dtype >= DTYPES || elements < 0)
    return PyErr_Format(PyExc_ValueError, "no dense kernel for form %ld, dtype %ld", form, dtype);
  const Call call{static_cast<Form>(form), static_cast<Dtype>(dtype), constants, static_cast<uint32_t>(threshold)};
  const Dense tensors{{from, nullptr, nullptr}, to, elements, elements};
  return without_lock([&] { run_dense(call, key, start, tensors); });
}

// fused(form, dtype, addresses, out, count, period, key, threshold, scale): as dense, for any form without more
// constants; `addresses` is a tuple of one to three ints.
PyObject* fused(PyObject*, PyObject* const* args, Py_ssize_t count) {
  if (count != 9) return PyErr_Format(PyExc_TypeError, "fused takes 9 arguments, got %zd", count);
  const long form = PyLong_AsLong(args[0]), dtype = PyLong_AsLong(args[1]);
  if (PyErr_Occurred()) return nullptr;
  if (form < 0 || form >= FORMS || dtype < 0 || dtype >= DTYPES || kernels().apply[form][dtype] == nullptr)
    return PyErr_Format(PyExc_ValueError, "no kernel for form %ld, dtype %ld", form, dtype);
  if (!PyTuple_Check(args[2]) || PyTuple_Size(args[2]) != OPERANDS[form])
    return PyErr_Format(PyExc_TypeError, "form %ld takes %d addresses", form, OPERANDS[form]);
  Dense tensors{};
  for (int i = 0; i < OPERANDS[form]; ++i) tensors.operand[i] = PyLong_AsVoidPtr(PyTuple_GetItem(args[2], i));
  tensors.out = PyLong_AsVoidPtr(args[3]);
  tensors.count = PyLong_AsLongLong(args[4]);
  tensors.period = PyLong_AsLongLong(args[5]);
  Key key;
  if (!read_words(args[6], 5, 4, key.word)) return nullptr;
  const unsigned long long start = PyLong_AsUnsignedLongLong(PyTuple_GetItem(args[6], 4));
  const unsigned long threshold = PyLong_AsUnsignedLong(args[7]);
  const Constants constants{PyFloat_AsDouble(args[8]), 0.0, 0.0};
  if (PyErr_Occurred()) return nullptr;
  if (tensors.count < 0 || tensors.period < 1)
    return PyErr_Format(PyExc_ValueError, "count must be at least 0 and period at least 1");
  const Call call{static_cast<Form>(form), static_cast<Dtype>(dtype), constants, static_cast<uint32_t>(threshold)};
  return without_lock([&] { run_dense(call, key, start, tensors); });
}

// gaussian(noise, dtype, address, out, count, key, deviation): see dense.
PyObject* gaussian(PyObject*, PyObject* const* args, Py_ssize_t count) {
  if (count != 7) return PyErr_Format(PyExc_TypeError, "gaussian takes 7 arguments, got %zd", count);
  const long noise = PyLong_AsLong(args[0]), dtype = PyLong_AsLong(args[1]);
  void* const from = PyLong_AsVoidPtr(args[2]);
  void* const to = PyLong_AsVoidPtr(args[3]);
  const long long elements = PyLong_AsLongLong(args[4]);
  Key key;
  if (!read_words(args[5], 5, 4, key.word)) return nullptr;
  const unsigned long long start = PyLong_AsUnsignedLongLong(PyTuple_GetItem(args[5], 4));
  const double deviation = PyFloat_AsDouble(args[6]);
  if (PyErr_Occurred()) return nullptr;
  if (noise < 0 || noise >= NOISES || dtype < 0 || dtype >= DTYPES || elements < 0)
    return PyErr_Format(PyExc_ValueError, "no Gaussian kernel for noise %ld, dtype %ld", noise, dtype);
  const NoiseCall call{static_cast<Noise>(noise), static_cast<Dtype>(dtype), deviation};
  return without_lock([&] { run_gaussian(call, key, start, from, to, elements); });
}

PyObject* supported_names(PyObject*, PyObject*) {
  PyObject* list = PyList_New(0);
  for (const Kernels* k : supported()) {
    PyObject* name = PyUnicode_FromString(k->name);
    if (list == nullptr || name == nullptr || PyList_Append(list, name) != 0) {
      Py_XDECREF(name), Py_XDECREF(list);
      return nullptr;
    }
    Py_DECREF(name);
  }
  return list;
}

PyObject* active_name(PyObject*, PyObject*) { return PyUnicode_FromString(kernels().name); }

PyObject* use_name(PyObject*, PyObject* name) {
  const char* text = PyUnicode_AsUTF8AndSize(name, nullptr);
  if (text == nullptr) return nullptr;
  if (!use(text)) return PyErr_Format(PyExc_ValueError, "this machine has no kernels called '%s'", text);
  Py_RETURN_NONE;
}

PyMethodDef methods[] = {
    {"philox", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(philox)), METH_FASTCALL,
     "philox(counter, key) -> tuple of four words"},
    {"dense", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(dense)), METH_FASTCALL,
     "dense(form, dtype, address, out, count, key, threshold, s, t=0, u=0)"},
    {"fused", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(fused)), METH_FASTCALL,
     "fused(form, dtype, addresses, out, count, period, key, threshold, scale)"},
    {"gaussian", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(gaussian)), METH_FASTCALL,
     "gaussian(noise, dtype, address, out, count, key, deviation)"},
    {"supported", supported_names, METH_NOARGS, "Names of the kernels that this machine can run, widest first."},
    {"active", active_name, METH_NOARGS, "Name of the kernels in use."},
    {"use", use_name, METH_O, "Choose the kernels by name; no kernel may be running."},
    {nullptr, nullptr, 0, nullptr}};

PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_native", "dropkit's native kernels.", -1, methods,
                          nullptr, nullptr, nullptr, nullptr};

} // namespace

PyMODINIT_FUNC PyInit__native() {
  PyObject* module = PyModule_Create(&definition);
  if (module != nullptr && PyModule_AddIntConstant(module, "INTERFACE", 5) != 0) {
    Py_DECREF(module);
    return nullptr;
  }
  return module;
}
