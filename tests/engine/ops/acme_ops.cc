// Ops that no TensorFlow has, for the tests of --op-library: built by its C API, in a third of a second.
#include "tensorflow/c/kernels.h"
#include "tensorflow/c/ops.h"

static void Shape(TF_ShapeInferenceContext* context, TF_Status* status) {
  TF_ShapeHandle* shape = TF_NewShapeHandle();
  TF_ShapeInferenceContextGetInput(context, 0, shape, status);
  TF_ShapeInferenceContextSetOutput(context, 0, shape, status);
  TF_DeleteShapeHandle(shape);
}

static void Compute(void*, TF_OpKernelContext* context) {
  TF_Status* status = TF_NewStatus();
  TF_Tensor* x = nullptr;
  TF_GetInput(context, 0, &x, status);
  int64_t dims[8];
  for (int i = 0; i < TF_NumDims(x); i++) dims[i] = TF_Dim(x, i);
  TF_Tensor* y = TF_AllocateOutput(context, 0, TF_FLOAT, dims, TF_NumDims(x), TF_TensorByteSize(x), status);
  const float* from = static_cast<float*>(TF_TensorData(x));
  float* to = static_cast<float*>(TF_TensorData(y));
  for (int64_t i = 0; i < TF_TensorElementCount(x); i++) to[i] = from[i] > 0 ? 2 * from[i] : 0;
  TF_DeleteTensor(x);
  TF_DeleteTensor(y);
  TF_DeleteStatus(status);
}

static void Define(const char* name, bool is_stateful) {
  TF_Status* status = TF_NewStatus();
  TF_OpDefinitionBuilder* op = TF_NewOpDefinitionBuilder(name);
  TF_OpDefinitionBuilderAddInput(op, "x: float");
  TF_OpDefinitionBuilderAddOutput(op, "y: float");
  if (is_stateful) TF_OpDefinitionBuilderSetIsStateful(op, true);  // it ignores its argument
  TF_OpDefinitionBuilderSetShapeInferenceFunction(op, Shape);
  TF_RegisterOpDefinition(op, status);
  TF_KernelBuilder* kernel = TF_NewKernelBuilder(name, "CPU", nullptr, Compute, nullptr);
  TF_RegisterKernelBuilder(name, kernel, status);
  TF_DeleteStatus(status);
}

__attribute__((constructor)) static void Register() {
  Define("AcmeFusedRelu", false);
  Define("AcmeCounter", true);
}
